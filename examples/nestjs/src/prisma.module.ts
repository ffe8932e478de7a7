import { Global, Inject, Module, type OnApplicationShutdown } from '@nestjs/common'
import { PrismaPg } from '@prisma/adapter-pg'
import { outbox, type TransactionOf } from 'prisma-extension-outbox'
import { events } from './events'
import { PrismaClient } from './generated/prisma/client'

const createPrisma = () =>
  new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL! }) }).$extends(outbox({ events }))

// An extended client is not a class: its type and the token that Nest injects share a name.
export type PrismaService = ReturnType<typeof createPrisma>
export const PrismaService = Symbol('PrismaService')
export type Tx = TransactionOf<PrismaService>

@Global()
@Module({ providers: [{ provide: PrismaService, useFactory: createPrisma }], exports: [PrismaService] })
export class PrismaModule implements OnApplicationShutdown {
  constructor(@Inject(PrismaService) private readonly prisma: PrismaService) {}

  // Not onModuleDestroy: consumers and requests still need it then.
  async onApplicationShutdown() {
    await this.prisma.$disconnect()
  }
}
