import type { Edit, Mutant } from '../mutant.ts'

/** What is acknowledged stays in the table for a while, so that a kill at any moment leaves some. */
const slowly: Edit = {
  file: 'relay/settle/recorder.ts',
  from: '      if (!signal.aborted) await this.#record(session)\n',
  to: '      await this.#context.clock.wait(300, signal)\n      if (!signal.aborted) await this.#record(session)\n',
}

/** Relays that leave a step of the exactly-once protocol out. */
export const recordingMutants: Record<string, Mutant> = {
  'adopts-nothing': {
    what: 'sends the rows of recorded batches under numbers of its own, and deletes rows slowly',
    faults: ['relay-sigkill'],
    exactlyOnce: true,
    edits: [
      slowly,
      {
        file: 'relay/settle/adoption.ts',
        from: '      else if (!this.#landed.has(nameOf(batch))) rows += this.#adopt(batch)\n',
        to: '',
      },
    ],
  },
}
