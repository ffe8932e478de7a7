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
    test.each([1280, 390, 320])('axe finds no violation on any page, %i pixels wide, and nothing sticks out', async (width) => {
      await each(
        async (page, name) => {
          await page.evaluate(axe)
          // With a chart's figures under the pointer, where there is a chart.
          if (name === 'overview') await page.locator('.plot svg').first().hover()
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
        `window.all = [...document.querySelectorAll('a[href], button:not([hidden]), input, select, svg[tabindex]')]; window.all.length`,
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
        // And may break that off.
        const sizes = await one.sizes().catch(() => undefined)
        if (sizes) bytes.set(one.url(), sizes.responseBodySize + sizes.responseHeadersSize)
      }
      expect([...bytes.keys()].sort(), name).toEqual(own.sort())
      expect(Math.min(...bytes.values()), name).toBeGreaterThan(0)
      expect(
        [...bytes.values()].reduce((sum, n) => sum + n, 0),
        name,
      ).toBeLessThan(70_000)
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
    const title = await page.title()
    await insertRows(outbox.database.pool, [{ topic: 'no-such-topic', key: 'late' }])
    const [counted] = await outbox.database.query('SELECT count(*) AS waiting FROM outbox')
    await page.getByRole('img', { name: new RegExp(`^Backlog, .*: now ${counted!.waiting};`) }).waitFor()
    expect(await drawn()).not.toBe(line)
    expect(title).toMatch(/^\(!\) Overview · outbox/)
    expect(await page.evaluate('window.before === document.activeElement && window.before.isConnected')).toBe(true)
    await page.keyboard.press('Enter')
    await page.getByText('Copied').waitFor()
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe('npx prisma-extension-outbox list --dead')
  })

  test('the header has the color of the worst problem, a sign and its sentence, on every page', async () => {
    const colors = new Set<string>()
    await each(async (page, name) => {
      const state = page.locator('main > .state')
      expect(await state.getAttribute('data-tone'), name).toBe('red')
      expect(await state.locator('p').innerText(), name).toMatch(/^Trouble (Topic|Relay|\d+ keys?|The oldest|Kafka) ?.*\.$/)
      expect(await state.locator('i').innerText(), name).toBe('✕')
      colors.add(await page.evaluate<string>(`getComputedStyle(document.querySelector('main > .state')).backgroundColor`))
      // It is the first thing that is seen.
      expect((await state.boundingBox())!.y, name).toBeLessThan(130)
    })
    expect([...colors]).toEqual(['rgb(168, 32, 26)'])
    const page = await opened('/dead')
    await page.getByRole('link', { name: /^and \d+ more$/ }).click()
    expect(page.url()).toBe(`${outbox.url}/#problems`)
    expect(await page.locator('.problems li').first().innerText()).toContain(
      (await page.locator('.state p').innerText()).replace('Trouble ', '').slice(0, 40),
    )
  })

  test.each([1280, 390])('the figures are of one height, and their numbers stand in lines, %i pixels wide', async (width) => {
    const page = await opened('/', { viewport: { width, height: 800 } })
    const boxes = async (what: string) =>
      Promise.all((await page.locator(`.figures ${what}`).all()).map(async (one) => (await one.boundingBox())!))
    const tiles = await boxes('div')
    expect(tiles).toHaveLength(6)
    expect(new Set(tiles.map(({ height }) => Math.round(height))).size).toBe(1)
    const lines = width === 1280 ? 1 : 3
    expect(new Set((await boxes('dd')).map(({ y }) => Math.round(y))).size).toBe(lines)
    for (const text of await page.locator('.figures dd').allInnerTexts()) expect(text).toMatch(/^(–|≈? ?[\d.,]+\+?.*)$/)
  })

  test('a chart has scales, and tells its figures under the pointer, under the arrow keys, and to those who hear them', async () => {
    const page = await opened('/')
    const chart = page.locator('.chart').nth(2)
    expect(await chart.locator('.scale span').allInnerTexts()).toEqual([expect.stringMatching(/\/s$/), expect.anything(), '0'])
    const times = await chart.locator('.times span').allInnerTexts()
    expect(times).toEqual([...Array.from({ length: 3 }, () => expect.stringMatching(/^−\d+ min$/)), 'now'])
    const svg = chart.locator('svg')
    await svg.scrollIntoViewIfNeeded()
    const { x, y, width, height } = (await svg.boundingBox())!
    const probe = page.locator('.probe')
    expect(await probe.isVisible()).toBe(false)
    await page.mouse.move(x + width / 2, y + height / 2)
    const text = await probe.innerText()
    expect(text.split('\n')).toEqual([
      expect.stringMatching(/\d+:\d\d:\d\d/),
      expect.stringMatching(/^all relays /),
      expect.stringMatching(/^this relay /),
    ])
    const { x: at } = (await probe.boundingBox())!
    expect(Math.abs(at - (x + width / 2))).toBeLessThan(width / 30)
    await page.mouse.move(x, y - 40)
    expect(await probe.isVisible()).toBe(false)
    // The end of the line is now; the arrow keys lead back.
    const values = (await chart.locator('.line').last().getAttribute('data-values'))!.split('|')
    await page.getByRole('button', { name: 'Stop updating' }).click()
    await page.keyboard.press('Tab')
    const focused = `document.activeElement === document.querySelectorAll('.plot svg')[2]`
    while (!(await page.evaluate<boolean>(focused))) await page.keyboard.press('Tab')
    const spoken = page.locator('footer [role=status]')
    expect(await spoken.innerText()).toMatch(new RegExp(`this relay ${values.at(-1)!.replaceAll('.', '\\.')}$`))
    for (let n = 0; n < 3; n++) await page.keyboard.press('ArrowLeft')
    expect(await spoken.innerText()).toMatch(new RegExp(`this relay ${values.at(-4)!.replaceAll('.', '\\.')}$`))
    await page.keyboard.press('Escape')
    expect(await probe.isVisible()).toBe(false)
  })

  test('an id is short; hovering and copying give the whole one', async () => {
    const page = await opened(`/messages?key=key-3&topic=no-such-topic`)
    const [first] = await page.locator('tbody .id').all()
    const id = (await first!.locator('a').getAttribute('title'))!
    expect(id).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
    expect(await first!.locator('code').innerText()).toBe(`${id.slice(0, 8)}…${id.slice(-8)}`)
    await first!.getByRole('button', { name: `Copy: ${id}` }).click()
    await page.getByText('Copied').waitFor()
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(id)
  })

  test('Messages and Dead follow what happens, and the focus stays at its message', async () => {
    const topic = 'followed'
    await insertRows(
      outbox.database.pool,
      [1, 2, 3].map((n) => ({ topic, key: `k${n}` })),
    )
    const page = await opened(`/messages?topic=${topic}`)
    await page.getByText('3 messages.').waitFor()
    const last = page.locator('tbody tr').last().locator('a')
    const id = await last.getAttribute('title')
    await last.focus()
    await page.evaluate('window.before = document.activeElement')
    await outbox.database.query('DELETE FROM outbox WHERE topic = $1 AND message_id <> $2', [topic, id])
    await page.getByText('1 message.', { exact: true }).waitFor()
    expect(await page.evaluate('window.before === document.activeElement && window.before.title')).toBe(id)
    await page.goto(`${outbox.url}/dead`)
    expect(await page.getByRole('heading', { name: /^FOLLOWED: / }).count()).toBe(0)
    await outbox.database.query(
      `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, created_at, reason, error, relay) VALUES (0, 10, gen_random_uuid(), 'late', now(), 'FOLLOWED', 'r', gen_random_uuid())`,
    )
    await page.getByRole('heading', { name: 'FOLLOWED: 1 message' }).waitFor()
    await outbox.database.query(`DELETE FROM outbox_dead_letter WHERE reason = 'FOLLOWED'`)
    await outbox.database.query('DELETE FROM outbox WHERE topic = $1', [topic])
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
    expect(await page.locator('[data-updated]').innerText()).toBe('Updated every few seconds.')
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
    expect(await page.getByText('The first 50 messages; there are more.').count()).toBe(1)
    expect(await page.locator('tbody tr').count()).toBe(50)
    expect(new Set(await page.locator('tbody td[data-name=Topic]').allInnerTexts())).toEqual(new Set(['no-such-topic']))
    for (const link of ['1 message', 'plain']) {
      await page.goto(`${outbox.url}/dead`)
      await page.locator('section', { hasText: 'MESSAGE_TOO_LARGE: ' }).getByRole('link', { name: link, exact: true }).click()
      expect(await page.getByText('1 message.', { exact: true }).count()).toBe(1)
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
