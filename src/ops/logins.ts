import { createHash, timingSafeEqual } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'

/** User and password that pages ask for. */
export interface Login {
  user: string
  password: string
}

/** Milliseconds that a wrong login takes. */
const wrongMs = 1_000

/**
 * Compares logins, those of one network one after another: a wrong one takes a second, and the next waits for that, right or wrong. So
 * more connections do not make more tries, and the time of an answer does not tell that a password was right.
 */
export class Logins {
  readonly #expected: Buffer
  /** The last try of each network that has one under way. */
  readonly #tries = new Map<string, Promise<boolean>>()

  constructor({ user, password }: Login) {
    this.#expected = digest(`Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`)
  }

  /** Whether the header `authorization` holds the login. `gone`: nobody waits for the answer any more; `wrong` is told of a wrong one. */
  isRight(header: string, network: string, gone: () => boolean, wrong: () => void): Promise<boolean> {
    const before = this.#tries.get(network)
    if (before === undefined && this.#fits(header)) return Promise.resolve(true)
    const now = (before ?? Promise.resolve(false)).then(async () => {
      if (gone()) return false
      if (this.#fits(header)) return true
      wrong()
      await pause(wrongMs, undefined, { ref: false })
      return false
    })
    this.#tries.set(network, now)
    void now.then(() => {
      if (this.#tries.get(network) === now) this.#tries.delete(network)
    })
    return now
  }

  /** Compares digests: they have one length, and the time tells nothing about the password. */
  #fits(header: string): boolean {
    return timingSafeEqual(digest(header), this.#expected)
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
