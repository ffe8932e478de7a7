import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../support/ports.ts'

/** A real Prometheus that scrapes relays and judges rules, and what it tells its Alertmanager: this one. */
export interface Pager {
  /** Names of the alerts that are firing now. */
  firing(): string[]
  /** Resolves when what fires fits, or `signal` aborts. */
  until(fits: (firing: string[]) => boolean, signal: AbortSignal): Promise<void>
  stop(): Promise<void>
}

/** An alert as Prometheus posts it. */
type Posted = { labels: Record<string, string>; endsAt: string }

/** Starts Prometheus with these rules on a free port; it scrapes the relays once a second. */
export async function startPager(rules: string, relayPorts: readonly number[]): Promise<Pager> {
  const ends = new Map<string, { name: string; endsAt: number }>()
  const change = new EventEmitter().setMaxListeners(0)
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    for (const { labels, endsAt } of JSON.parse(body) as Posted[]) {
      ends.set(JSON.stringify(labels), { name: labels.alertname!, endsAt: Date.parse(endsAt) })
    }
    response.end()
    change.emit('change')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const dir = await mkdtemp(join(tmpdir(), 'outbox-prometheus-'))
  await writeFile(join(dir, 'rules.yml'), rules)
  await writeFile(join(dir, 'prometheus.yml'), config(relayPorts, (server.address() as AddressInfo).port))
  const prometheus = await start(dir)
  const firing = () => {
    // An alert is told again and again while it fires; the end is that of the last telling, or past once it is over.
    const now = Date.now()
    return [...new Set([...ends.values()].filter(({ endsAt }) => endsAt > now).map(({ name }) => name))].sort()
  }
  return {
    firing,
    async until(fits, signal) {
      // Without news an alert ends by its own time.
      const timer = setInterval(() => change.emit('change'), 1_000)
      try {
        while (!fits(firing()) && !signal.aborted) await once(change, 'change', { signal }).catch(() => {})
      } finally {
        clearInterval(timer)
      }
    },
    async stop() {
      prometheus.kill()
      await once(prometheus, 'exit')
      server.closeAllConnections()
      server.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

const config = (relayPorts: readonly number[], alertmanager: number) => `
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [rules.yml]
alerting: { alertmanagers: [{ static_configs: [{ targets: ['127.0.0.1:${alertmanager}'] }] }] }
scrape_configs:
  - job_name: outbox
    static_configs: [{ targets: [${relayPorts.map((port) => `'127.0.0.1:${port}'`).join(', ')}] }]
`

/** Resolves when it is ready; what it says is shown only where it ends instead. */
async function start(dir: string): Promise<ChildProcess> {
  const args = ['--config.file=prometheus.yml', '--storage.tsdb.path=data', '--rules.alert.resend-delay=1s']
  const prometheus = spawn('prometheus', [...args, `--web.listen-address=127.0.0.1:${await freePort()}`], {
    cwd: dir,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  process.once('exit', () => prometheus.kill())
  let said = ''
  await new Promise<void>((resolve, reject) => {
    prometheus.once('error', reject)
    prometheus.once('exit', (code) => reject(new Error(`Prometheus ended with ${code}:\n${said}`)))
    prometheus.stderr.on('data', (text) => {
      said = (said + text).slice(-20_000)
      if (said.includes('Server is ready to receive web requests')) resolve()
    })
  })
  return prometheus
}
