import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { startBrowser } from '../support/browser.ts'

// The demo as somebody sees it who opens the addresses that it prints.

let browser: Browser
let demo: ChildProcess
let output = ''
const addresses = new Map<string, string>()
let ended: Promise<number | null>

beforeAll(async () => {
  browser = await startBrowser()
  const file = fileURLToPath(new URL('../../demo/main.ts', import.meta.url))
  const env = { ...process.env, DATABASE_URL: inject('databaseUrl'), KAFKA_BROKERS: inject('brokers') }
  demo = spawn(process.execPath, ['--import', 'tsx', file, '--rate', '4'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  ended = new Promise((resolve) => demo.once('exit', resolve))
  await new Promise<void>((resolve, reject) => {
    const keep = (text: Buffer) => {
      output += text
      for (const [, name, url] of output.matchAll(/^ {2}(shop page|analytics|dashboard) +(http\S+)$/gm))
        addresses.set(name!, url!)
      if (addresses.size === 3) resolve()
    }
    demo.stdout!.on('data', keep)
    demo.stderr!.on('data', keep)
    void ended.then(() => reject(new Error(`The demo ended before it had printed its addresses:\n${output}`)))
  })
})
afterAll(async () => {
  await browser?.close()
  if (demo?.exitCode === null) demo.kill('SIGKILL')
})

const open = async (name: string) => {
  const page = await browser.newPage()
  await page.goto(addresses.get(name)!)
  return page
}

test('an order placed in the page appears in the analytics and in "my orders", is shipped, and has a story', async () => {
  const analytics = await open('analytics')
  const shop = await open('shop page')
  // Of kettles the simulated customers buy none.
  await shop.locator('select[name=sku] option[value=kettle]').waitFor({ state: 'attached' })
  expect(await analytics.locator('#sellers').getByText('kettle').count()).toBe(0)
  await shop.getByLabel('What').selectOption('kettle')
  await shop.getByLabel('How many').fill('7')
  await shop.getByRole('button', { name: 'Order' }).click()
  await shop.getByText(/^Order \d+ is placed\.$/).waitFor()
  await analytics.locator('#sellers tr', { hasText: 'kettle' }).getByText('7 sold, 273.00 €').waitFor()
  const row = shop.locator('#mine tr', { hasText: '7 × kettle' })
  await row.getByText('shipped as P-').waitFor()
  expect(await row.count()).toBe(1)

  await row.getByRole('button', { name: 'story' }).click()
  const state = shop.locator('#story pre')
  await state.getByText('OrderShipped, version 1').waitFor()
  expect(await state.textContent()).toContain('"status": "shipped"')
  await shop.locator('#story input').fill('0')
  await state.getByText('OrderPlaced, version 2').waitFor()
  expect(await state.textContent()).toContain('"status": "placed"')
})

test('the analytics know orders of both versions, written side by side', async () => {
  const analytics = await open('analytics')
  for (const version of ['version 1', 'version 2']) await analytics.locator('#sources tr', { hasText: version }).waitFor()
})

test('the dashboard of the relay is served at the printed address', async () => {
  const dashboard = await open('dashboard')
  await dashboard.getByRole('heading', { name: 'Overview' }).waitFor()
})

test('the demo then ends with its table, and every order in the topic once', async () => {
  demo.kill('SIGINT')
  expect(await ended).toBe(0)
  expect(output).toContain('Every placed order is in the topic exactly once, and no other.')
})
