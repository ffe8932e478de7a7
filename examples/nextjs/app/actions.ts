'use server'

import { placeOrder } from '../src/place-order'

export async function order(form: FormData) {
  await placeOrder(String(form.get('customer')), Number(form.get('total')))
}
