-- AlterTable
ALTER TABLE "orders" ADD COLUMN "channel" TEXT NOT NULL DEFAULT 'web';
