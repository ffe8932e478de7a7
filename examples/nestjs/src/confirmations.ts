import { Injectable } from '@nestjs/common'
import { OnOutboxEvent, type ReceivedEvent } from 'prisma-extension-outbox/nestjs'
import type { Events } from './events'
import type { Tx } from './prisma.module'

@Injectable()
export class Confirmations {
  // One transaction: the row of the inbox and the confirmation. A copy of the message does neither again.
  @OnOutboxEvent('order.placed')
  async confirm({ payload: { orderId, customer } }: ReceivedEvent<Events, 'order.placed'>, tx: Tx) {
    await tx.confirmation.create({ data: { orderId, to: customer } })
  }
}
