import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { userEnvironment } from './tarball.ts'

/** A user's application in a process of its own, which listens on a port. */
export interface Application extends AsyncDisposable {
  /** `http://127.0.0.1:…` */
  url: string
  /** What it has printed so far. */
  output(): string
  /** Sends the signal; resolves with how the process ended. */
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/** Starts an application; resolves when it answers at `path`, rejects with what it printed when it ends before. */
export async function startApplication(
  folder: string,
  args: readonly string[],
  { port, path, ...env }: { port: number; path: string } & Record<string, string | number>,
): Promise<Application> {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...userEnvironment(), ...env, PORT: String(port) } as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }))
  const url = `http://127.0.0.1:${port}`
  const end: Application['end'] = (signal) => {
    child.kill(signal)
    return ended
  }
  const isOver = () => child.exitCode !== null || child.signalCode !== null
  while (!(await answers(url + path))) {
    if (isOver()) throw new Error(`The application has ended.\n${output}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return {
    url,
    output: () => output,
    end,
    async [Symbol.asyncDispose]() {
      if (!isOver()) await end('SIGKILL')
    },
  }
}

const answers = async (url: string): Promise<boolean> => (await fetch(url).catch(() => undefined))?.ok ?? false

/** Requests without a pause, some at a time, until the server refuses connections. */
export interface Load {
  /** Ids of the orders that the application has confirmed. */
  confirmed: number[]
  /** Resolves with answers that were no success, when the server has refused every worker. */
  over: Promise<string[]>
}

/** Places orders by `POST`, each worker one after another, until the application is gone. */
export function placeOrders(url: string, workers = 8): Load {
  const confirmed: number[] = []
  const failures: string[] = []
  const work = async () => {
    for (let n = 1; ; n++) {
      const body = JSON.stringify({ customer: 'ada@example.com', total: n })
      // A server that is closing would still serve a connection that is kept alive.
      const headers = { 'content-type': 'application/json', connection: 'close' }
      const sent = fetch(url, { method: 'POST', headers, body })
      try {
        const answer = await sent
        if (answer.ok) confirmed.push(((await answer.json()) as { id: number }).id)
        else failures.push(`${answer.status} ${await answer.text()}`)
      } catch {
        return
      }
    }
  }
  return { confirmed, over: Promise.all(Array.from({ length: workers }, work)).then(() => failures) }
}
