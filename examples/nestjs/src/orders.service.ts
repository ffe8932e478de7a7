import { Inject, Injectable } from '@nestjs/common'
import { PrismaService } from './prisma.module'

@Injectable()
export class OrdersService {
  constructor(@Inject(PrismaService) private readonly prisma: PrismaService) {}

  place(customer: string, total: number) {
    return this.prisma.$transaction(async (tx) => {
      const order = await tx.order.create({ data: { customer, total } })
      await tx.outbox.enqueue({ type: 'order.placed', payload: { orderId: order.id, customer, total } })
      return order
    })
  }
}
