import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { pageOf } from '../support/readme.ts'
import { type Prose, proseOf } from './language.ts'
import { sentenceLengths } from './sentences.ts'

// The language of pages, comments and strings: no words of the project's own that the field does not use, and no sentences that nobody
// reads to their end.

const words: Record<string, RegExp> = {
  wish: /\bwish(?:es|ed|ing)?\b/gi,
  mend: /\bmend(?:s|ed|ing)?\b/gi,
  anew: /\banew\b/gi,
  seldom: /\bseldom\b/gi,
  'for ever': /\bfor ever\b/gi,
  whoever: /\bwhoever\b/gi,
  'by itself': /\bby itself\b/gi,
  'look for': /\blooks? for\b/gi,
  catalogue: /\bcatalogues?\b/gi,
}

/** Words of a sentence; a span of code, a link's address and a sign are none or one. */
const longest = 40

const prose = files().flatMap(proseOf)

test.each(Object.entries(words))('no text says "%s"', (_, found) => {
  const places = prose.flatMap((one) => Array.from(withoutCode(one.text).match(found) ?? [], () => `${one.file}:${one.line}`))
  expect(places).toEqual([])
})

test(`no sentence has more than ${longest} words`, () => {
  const places = prose.flatMap((one) =>
    sentencesOf(one)
      .filter((sentence) => wordsIn(sentence) > longest)
      .map((sentence) => `${one.file}:${one.line}: ${sentence.trim().slice(0, 60)}`),
  )
  expect(places).toEqual([])
})

const pages = files().filter(
  (file) => /^(?:[A-Z]+|docs\/.*|(?:bench|demo)\/README|examples\/.*)\.md$/.test(file) && file !== 'CHANGELOG.md',
)

test.each(pages)('%s has sentences of 18 words on average, nine of ten with at most 25', (page) => {
  const words = sentenceLengths(pageOf(page))
  const mean = words.reduce((sum, one) => sum + one, 0) / words.length
  const longOf = words[Math.floor(words.length * 0.9)] ?? 0
  expect(
    { mean: words.length === 0 || mean <= 18, nineOfTen: longOf <= 25 },
    `mean ${mean.toFixed(1)}, nine of ten ${longOf}`,
  ).toEqual({ mean: true, nineOfTen: true })
})

test.each(pages)('%s has at most 300 lines written by hand', (page) => {
  const written = pageOf(page).replace(/<!-- generated: [\s\S]*?<!-- end -->/g, '')
  expect(written.trimEnd().split('\n').length).toBeLessThanOrEqual(300)
})

test('sentences are told apart, and the words of each are counted', () => {
  const page =
    '# Title of it\n\nOne `a b c` two. It is [a link](b.md#c-d), e.g. here: "Yes." Three\nfour five.\n\n| a cell |\n\n- First item\n  goes on\n1. Second item\n'
  expect(sentenceLengths(`${page}\n\`\`\`ts\nconst not = 1\n\`\`\`\n- [ci] not this\n`)).toEqual([2, 3, 3, 4, 7])
})

test('a word and a long sentence are found on a page, in a comment and in a string', () => {
  const [page, program] = [proseOf('docs/protocol.md'), proseOf('src/relay/relay.ts')]
  expect(page.length).toBeGreaterThan(50)
  expect(program.length).toBeGreaterThan(10)
  expect(sentencesOf({ file: '', line: 1, text: `One. ${'two '.repeat(50)}. Three` }).map(wordsIn)).toEqual([1, 50, 1])
  expect(prose.some(({ file, text }) => file === 'src/message/errors.ts' && text.includes(' '))).toBe(true)
})

/** Every text of the repository that is written by hand. */
function files(): string[] {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  }).split('\n')
  const texts = listed.filter((file) => /\.(md|ts|mjs|js|sql|prisma|yml)$/.test(file) && !/^test\/docs\/language/.test(file))
  const gone = new Set(execFileSync('git', ['ls-files', '--deleted'], { cwd: root, encoding: 'utf8' }).split('\n'))
  return texts.filter((file) => !gone.has(file))
}

function sentencesOf({ text }: Prose): string[] {
  return withoutCode(text).split(/(?<=[.!?])["')*]*\s+/)
}

/** Names in code, addresses and titles of tests are no words of a sentence. */
function withoutCode(text: string): string {
  return text.replace(/`[^`]*`/g, 'code').replace(/\]\([^)]*\)/g, ']')
}

function wordsIn(sentence: string): number {
  return sentence.split(/\s+/).filter((word) => /[A-Za-z]/.test(word)).length
}
