import type { LivenessCheck } from '../liveness.ts'
import { cut, type Html, html } from './html.ts'
import { type Problem, problems, type Tone, toneOf } from './problems.ts'
import type { Standing } from './standing.ts'

/** Where the state comes from: everything is in memory, so that no page waits for it. */
export interface StateDeps {
  liveness: LivenessCheck
  standing: Standing
  /** Brokers for the commands that help. */
  servers: string
}

/** The outbox and this relay at a glance. */
export interface State {
  tone: 'green' | Tone
  /** The one sentence that matters most. */
  what: string
  /** The worst first. */
  problems: Problem[]
}

/** Color alone says nothing: each has a word and a sign. */
const signs = { green: ['✓', 'OK'], amber: ['!', 'Attention'], red: ['✕', 'Trouble'] } as const

/** The state of this moment. A sample from before the relay served the database tells of an outbox without it: it counts as none. */
export function stateNow({ liveness, standing, servers }: StateDeps): State {
  const { live, served, signs } = liveness
  const { paused, sampleFailed, dying, disordered, locked, kept, unownedLong } = standing
  const sample = served ? standing.sample : undefined
  const told = { servers, paused, sampleFailed, dying, disordered, locked, kept, unownedLong, sample }
  const found = problems({ live, databaseTrouble: signs.databaseTrouble, kafkaTrouble: signs.kafkaTrouble, ...told })
  const [worst] = found
  if (worst) return { tone: toneOf(worst), what: worst.what, problems: found }
  if (!sample) return { tone: 'amber', what: 'This relay is starting: it has not read the tables yet.', problems: [] }
  return { tone: 'green', what: `No problem is known. This relay is ${live.why}.`, problems: [] }
}

/** The header of each page. */
export function stateHeader({ tone, what, problems }: State): Html {
  const [sign, word] = signs[tone]
  const more = problems.length - 1
  return html`<section class="state ${tone}" aria-label="State" data-tone="${tone}">
<i aria-hidden="true">${sign}</i>
<p><strong>${word}</strong> ${cut(what, 300)}</p>
${problems.length > 0 && html`<a href="/#problems">${more > 0 ? `and ${more} more` : 'what helps'}</a>`}</section>`
}
