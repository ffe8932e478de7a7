import { place } from '../../src/place'

export const dynamic = 'force-dynamic'

export async function POST() {
  return Response.json(await place(7))
}
