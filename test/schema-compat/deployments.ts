import type { Finding } from '../../src/schema-compat/check.ts'

/** What is deployed first. */
export type Deployment = 'consumers first' | 'producers first'

/**
 * The orders of deployment that the findings of `schema check` leave. A break leaves none. Where consumers of the old code break, they go
 * first; what breaks nobody leaves the choice.
 */
export function allowedDeployments(findings: readonly Finding[]): Deployment[] {
  if (findings.some(({ level }) => level === 'break')) return []
  return findings.some(({ breaks }) => breaks === 'old consumers') ? ['consumers first'] : ['consumers first', 'producers first']
}
