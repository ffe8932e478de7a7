import { describe } from 'vitest'
import { type Feature, features, has, leftOut } from '../support/prisma-majors.ts'
import { describeExtensions } from './behaviour/extensions.ts'
import { describeFate } from './behaviour/fate.ts'
import { describeLate } from './behaviour/late.ts'
import { describeNested } from './behaviour/nested.ts'
import { describePlace } from './behaviour/place.ts'
import { describePlain } from './behaviour/plain.ts'
import { describeRefused } from './behaviour/refused.ts'
import { describeServer } from './behaviour/server.ts'
import { Shop } from './behaviour/shop.ts'
import { describeWakeUp } from './behaviour/wake-up.ts'
import { describeWritten } from './behaviour/written.ts'
import type { Version } from './versions.ts'

/** What an application may rely on when it enqueues; the same for every version of Prisma. */
export function describeEnqueue(version: Version): void {
  for (const feature of Object.keys(features) as Feature[]) if (!has(version.major, feature)) leftOut(version.major, feature)
  describe(version.name ?? version.major, () => describeShop(new Shop(version)))
}

function describeShop(shop: Shop): void {
  describeWritten(shop)
  describePlace(shop)
  describeFate(shop)
  describeRefused(shop)
  describePlain(shop)
  describeExtensions(shop)
  describeServer(shop)
  describeNested(shop)
  describeLate(shop)
  describeWakeUp(shop)
}
