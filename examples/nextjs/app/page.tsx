import { order } from './actions'

export default function Page() {
  return (
    <form action={order}>
      <input name="customer" type="email" defaultValue="ada@example.com" />
      <input name="total" type="number" defaultValue="1990" />
      <button type="submit">Order</button>
    </form>
  )
}
