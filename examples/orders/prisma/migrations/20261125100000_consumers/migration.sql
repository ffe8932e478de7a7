-- CreateTable
CREATE TABLE "letters" (
    "id" SERIAL NOT NULL,
    "order_id" INTEGER NOT NULL,
    "customer" TEXT NOT NULL,
    "text" TEXT NOT NULL,

    CONSTRAINT "letters_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "parcels" (
    "id" SERIAL NOT NULL,
    "order_id" INTEGER NOT NULL,
    "number" TEXT NOT NULL,

    CONSTRAINT "parcels_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "my_orders" (
    "order_id" INTEGER NOT NULL,
    "customer" TEXT NOT NULL,
    "text" TEXT NOT NULL,
    "total" INTEGER NOT NULL,
    "placed_at" TIMESTAMPTZ(3) NOT NULL,
    "parcel" TEXT,

    CONSTRAINT "my_orders_pkey" PRIMARY KEY ("order_id")
);

-- CreateIndex
CREATE INDEX "my_orders_customer_order_id_idx" ON "my_orders"("customer", "order_id");
