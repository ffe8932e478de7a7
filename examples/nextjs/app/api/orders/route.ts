import { placeOrder } from '../../../src/place-order'

export async function POST(request: Request) {
  const { customer, total } = (await request.json()) as { customer: string; total: number }
  return Response.json(await placeOrder(customer, total), { status: 201 })
}
