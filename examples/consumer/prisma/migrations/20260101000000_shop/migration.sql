CREATE TABLE "Order" (
    "id" SERIAL NOT NULL,
    "customer" TEXT NOT NULL,
    "total" INTEGER NOT NULL,
    CONSTRAINT "Order_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "Letter" (
    "id" SERIAL NOT NULL,
    "orderId" TEXT NOT NULL,
    "to" TEXT NOT NULL,
    CONSTRAINT "Letter_pkey" PRIMARY KEY ("id")
);
