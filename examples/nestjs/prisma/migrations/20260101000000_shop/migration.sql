CREATE TABLE "Order" (
    "id" SERIAL NOT NULL,
    "customer" TEXT NOT NULL,
    "total" INTEGER NOT NULL,
    CONSTRAINT "Order_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "Confirmation" (
    "id" SERIAL NOT NULL,
    "orderId" INTEGER NOT NULL,
    "to" TEXT NOT NULL,
    CONSTRAINT "Confirmation_pkey" PRIMARY KEY ("id")
);
