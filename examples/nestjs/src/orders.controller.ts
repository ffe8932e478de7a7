import { Body, Controller, Post } from '@nestjs/common'
import { OrdersService } from './orders.service'

@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  @Post()
  place(@Body() { customer, total }: { customer: string; total: number }) {
    return this.orders.place(customer, total)
  }
}
