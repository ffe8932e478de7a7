import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser, BrowserContextOptions, Page, Request } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { chromiumPath, firstPaintMs, startBrowser } from '../../support/browser.ts'
import { insertRows } from '../../support/rows.ts'
import { attack, attackShown, secret, type WatchedOutbox, watchedOutbox } from './outbox.ts'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

if (!chromiumPath) console.warn('Skipped: no Chromium. Install it (apt-get install chromium), or name it in CHROMIUM.')

// Ten pages in each test, on a machine that may have other work.
describe.skipIf(!chromiumPath)('in Chromium', { timeout: 180_000 }, () => {
  let outbox: WatchedOutbox
  let browser: Browser
  let paths: Record<string, string>
  beforeAll(async () => {
    ;[outbox, browser] = await Promise.all([watchedOutbox(), startBrowser()])
    const { ids } = outbox
    paths = {
      overview: '/',
      messages: '/messages',
      'dead messages': '/messages?state=dead&order=newest',
      'no messages': '/messages?topic=nobody&olderThan=7d',
      'a filter with a slip': `/messages?olderThan=soon&topic=${encodeURIComponent(attack)}`,
      'a waiting message': `/message?id=${ids.waiting}`,
      'a dead message': `/message?id=${ids.dead}`,
      'a message that is nowhere': '/message?id=0197f3a0-0000-7000-8000-000000000001',
      'no message': '/message',
      dead: '/dead',
    }
  })
  afterAll(async () => {
    await browser?.close()
    await outbox?.stop()
  })

  async function opened(path: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'], ...options })
    onTestFinished(() => context.close())
    const page = await context.newPage()
    await page.goto(outbox.url + path)
    return page
  }

  const each = async (look: (page: Page, name: string) => Promise<void>, options: BrowserContextOptions = {}) => {
    const page = await opened('/', options)
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(outbox.url + path)
      await look(page, name)
    }
  }

  test('what somebody named to break out of the page is text on every page', async () => {
    const seen: string[] = []
    await each(async (page, name) => {
      expect(await page.locator('outbox-attack, [data-attack], main script').count(), name).toBe(0)
      const text = (await page.locator('body').innerText()) + (await page.locator('input[name=topic]').allInnerTexts())
      if (text.includes(attackShown)) seen.push(name)
      expect(text, name).not.toContain('\u202e')
      expect(text, name).not.toContain(secret)
    })
    expect(seen).toEqual(Object.keys(paths))
    const page = await opened(paths['a filter with a slip']!)
    expect(await page.inputValue('input[name=topic]')).toBe(attackShown)
  })

  describe.each(['light', 'dark'] as const)('in the %s scheme', (colorScheme) => {
    test.each([1280, 320])('axe finds no violation on any page, %i pixels wide, and nothing sticks out', async (width) => {
      await each(
        async (page, name) => {
          await page.evaluate(axe)
          const { violations } = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>('axe.run()')
          expect(
            violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]),
            name,
          ).toEqual([])
          expect(await page.evaluate('document.documentElement.scrollWidth'), name).toBeLessThanOrEqual(width)
          const paper = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
          const [red, green, blue] = paper.match(/\d+/g)!.map(Number)
          expect(red! + green! + blue! > 384 ? 'light' : 'dark', name).toBe(colorScheme)
        },
        { colorScheme, viewport: { width, height: 800 } },
      )
    })
  })

  test('the keyboard reaches every link, field and button of every page in their order, and shows where it is', async () => {
    await each(async (page, name) => {
      const all = await page.evaluate<number>(
        `window.all = [...document.querySelectorAll('a[href], button:not([hidden]), input, select')]; window.all.length`,
      )
      const reached: number[] = []
      for (let n = 0; n < all; n++) {
        await page.keyboard.press('Tab')
        reached.push(await page.evaluate<number>(`window.all.indexOf(document.activeElement)`))
        expect(await page.evaluate(`getComputedStyle(document.activeElement).outlineStyle`), name).not.toBe('none')
      }
      expect(reached, name).toEqual(Array.from({ length: all }, (_, n) => n))
    })
  })

  test('the skip link leads past the navigation', async () => {
    const page = await opened('/dead')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    expect(await page.evaluate('document.activeElement.id')).toBe('main')
  })

  test('a page is small, asks no other host for anything, and breaks no rule of its own policy', async () => {
    const page = await opened('/')
    const troubles: string[] = []
    page.on('console', (message) => troubles.push(message.text()))
    page.on('pageerror', (error) => troubles.push(String(error)))
    // The browser loads the icon once; another one would load it with any of the pages.
    const iconUrl = `${outbox.url}/icon.svg`
    const icon = (await (await page.request.get(iconUrl)).body()).length
    for (const name of ['overview', 'messages', 'dead messages', 'a dead message', 'dead']) {
      const requests: Request[] = []
      page.removeAllListeners('request')
      page.on('request', (one) => void requests.push(one))
      await page.goto(outbox.url + paths[name], { waitUntil: 'networkidle' })
      page.removeAllListeners('request')
      const own = [paths[name]!, '/dashboard.css', '/dashboard.js', '/icon.svg'].map((path) => outbox.url + path)
      expect([...new Set([...requests.map((one) => one.url()), iconUrl])].sort(), name).toEqual(own.sort())
      // By address: a page that is slow to load may already fetch itself again.
      const bytes = new Map([[iconUrl, icon]])
      for (const one of requests) {
        const { responseBodySize, responseHeadersSize } = await one.sizes()
        bytes.set(one.url(), responseBodySize + responseHeadersSize)
      }
      expect(Math.min(...bytes.values()), name).toBeGreaterThan(0)
      expect(
        [...bytes.values()].reduce((sum, n) => sum + n, 0),
        name,
      ).toBeLessThan(60_000)
    }
    expect(troubles).toEqual([])
  })

  test('without scripts every page says the same', async () => {
    await each(
      async (page, name) => {
        expect(await page.locator('h1').count(), name).toBe(1)
        expect((await page.locator('main').innerText()).length, name).toBeGreaterThan(50)
      },
      { javaScriptEnabled: false },
    )
  })

  test('the overview follows what happens, and the focus stays where it is', async () => {
    const page = await opened('/')
    const copy = page.getByRole('button', { name: 'Copy: npx prisma-extension-outbox list --dead' })
    await copy.focus()
    await page.evaluate('window.before = document.activeElement')
    await outbox.database.query(
      `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, created_at, reason, relay) VALUES (0, 9, gen_random_uuid(), 'late', now(), 'LATE', 'r')`,
    )
    await page.getByText('Kafka refused 3 messages for good.').waitFor()
    // The drawing as well as its words.
    const drawn = () => page.locator('.chart path.line').first().getAttribute('d')
    const line = await drawn()
    await insertRows(outbox.database.pool, [{ topic: 'no-such-topic', key: 'late' }])
    const [counted] = await outbox.database.query('SELECT count(*) AS waiting FROM outbox')
    await page.getByRole('img', { name: new RegExp(`^Backlog, .*: now ${counted!.waiting};`) }).waitFor()
    expect(await drawn()).not.toBe(line)
    expect(await page.evaluate('window.before === document.activeElement && window.before.isConnected')).toBe(true)
    await page.keyboard.press('Enter')
    await page.getByText('Copied').waitFor()
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe('npx prisma-extension-outbox list --dead')
  })

  test('updating can be stopped, stops while nobody looks, and says so when the relay does not answer', async () => {
    const context = await browser.newContext()
    onTestFinished(() => context.close())
    const page = await context.newPage()
    await page.clock.install()
    await page.goto(`${outbox.url}/`)
    let asked = 0
    page.on('request', () => asked++)
    const pass = () => page.clock.runFor(30_000)
    const fetched = page.waitForResponse(() => true)
    await pass()
    await fetched
    await context.setOffline(true)
    await pass()
    await page.getByText('The relay does not answer').waitFor()
    await context.setOffline(false)
    await pass()
    await page.getByText('Updated every few seconds').waitFor()
    await page.getByRole('button', { name: 'Stop updating' }).click()
    await page.getByText('Not updated.').waitFor()
    const before = asked
    await pass()
    expect(asked).toBe(before)
    await page.getByRole('button', { name: 'Go on updating' }).click()
    await page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true })`)
    await pass()
    expect(asked).toBe(before)
    await page.evaluate('delete document.visibilityState')
    const again = page.waitForRequest(() => true)
    await pass()
    await again
  })

  test('a filter is in the address, and the address is the filter', async () => {
    const page = await opened('/messages')
    await page.getByRole('textbox', { name: 'Topic' }).fill('no-such-topic')
    await page.getByLabel('Key, or 0x').fill('key-3')
    await page.getByRole('button', { name: 'Show' }).press('Enter')
    await page.getByText('3 messages.').waitFor()
    const again = await opened(page.url().slice(outbox.url.length))
    expect(await again.locator('tbody tr').count()).toBe(3)
    expect(await again.locator('.command code').last().innerText()).toBe(
      'npx prisma-extension-outbox list --topic no-such-topic --key key-3',
    )
    await again.locator('tbody a').first().click()
    expect(await again.locator('.facts').first().innerText()).toContain('key-3')
    expect(await again.locator('.way').innerText()).toMatch(/enqueued[\s\S]*waits for Kafka; its bucket is claimed by/)
  })

  test('a link of the overview, and of the page Dead, leads to what it names', async () => {
    const page = await opened('/')
    await page.getByRole('link', { name: 'no-such-topic' }).click()
    expect(await page.inputValue('input[name=topic]')).toBe('no-such-topic')
    expect(await page.getByRole('status').innerText()).toBe('The first 50 messages; there are more.')
    expect(await page.locator('tbody tr').count()).toBe(50)
    expect(new Set(await page.locator('tbody td[data-name=Topic]').allInnerTexts())).toEqual(new Set(['no-such-topic']))
    for (const link of ['1 message', 'plain']) {
      await page.goto(`${outbox.url}/dead`)
      await page.locator('section', { hasText: 'MESSAGE_TOO_LARGE: ' }).getByRole('link', { name: link, exact: true }).click()
      expect(await page.getByRole('status').innerText()).toBe('1 message.')
      expect(await page.inputValue('input[name=reason]')).toBe('MESSAGE_TOO_LARGE')
      expect(await page.inputValue('input[name=topic]')).toBe(link === 'plain' ? 'plain' : '')
    }
  })

  test('the first paint is below 200 ms, and does not wait for the database', async () => {
    const page = await opened('/')
    const client = await outbox.database.pool.connect()
    onTestFinished(() => client.release())
    await client.query('BEGIN; LOCK TABLE outbox, outbox_dead_letter, outbox_lease, outbox_relay IN ACCESS EXCLUSIVE MODE')
    const paints: number[] = []
    // The best of ten: the first one starts a process of the browser, and a machine at its limit takes long for each of them.
    for (let n = 0; n < 10; n++) {
      expect((await page.goto(`${outbox.url}/`))!.status()).toBe(200)
      paints.push(await firstPaintMs(page))
    }
    await client.query('ROLLBACK')
    console.log(`first paint after ${paints.map(Math.round).join(', ')} ms`)
    expect(Math.min(...paints)).toBeLessThan(200)
  })
})
