import { type Feature, features, has, majors, parts } from '../../support/prisma-majors.ts'
import { table } from '../markdown.ts'

/** What each major version of Prisma has, and what is tested with it. */
export function majorsTable(): string {
  const own = Object.entries(features).map(([feature, what]) => [
    what,
    ...majors.map((major) => (has(major, feature as Feature) ? 'yes' : 'no')),
  ])
  const tested = Object.values(parts).map(({ what, with: these }) => [
    what,
    ...majors.map((major) => ((these as readonly string[]).includes(major) ? 'tested' : 'not tested')),
  ])
  return table(['what', ...majors], [...tested, ...own])
}
