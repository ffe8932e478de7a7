import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const places = (process.env.PATH ?? '').split(delimiter).flatMap((dir) => names.map((name) => join(dir, name)))

/** The Chromium of this machine (`apt-get install chromium`, or `CHROMIUM` names it); undefined: there is none. */
export const chromiumPath: string | undefined = process.env.CHROMIUM ?? places.find((path) => existsSync(path))

/** Starts it without a window. */
export function startBrowser(): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error('Not found: chromium. Install it, or name it in CHROMIUM.')
  // Root has no sandbox for it, and the shared memory of a container is small.
  return chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}

/** Milliseconds from the start of a page's load until the browser has first painted some of its content, as the browser tells. */
export function firstPaintMs(page: Page): Promise<number> {
  return page.evaluate<number>(`new Promise((resolve) => {
    new PerformanceObserver((list) => {
      const [paint] = list.getEntriesByName('first-contentful-paint')
      if (paint) resolve(paint.startTime)
    }).observe({ type: 'paint', buffered: true })
  })`)
}
