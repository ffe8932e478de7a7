import type { Answer } from '../server.ts'
import { cut, type Html, html, nameLength } from './html.ts'
import { type State, stateHeader } from './state.ts'

/** Pages for people, in the order of the navigation. */
const places = [
  ['/', 'Overview'],
  ['/messages', 'Messages'],
  ['/dead', 'Dead'],
] as const

/** A page without its frame. */
export interface Content {
  status?: number
  title: string
  /** Position in the navigation. */
  at: (typeof places)[number][0]
  main: Html
  /** Milliseconds after which the page is fetched again, as long as somebody looks at it. Default: never. */
  refreshMs?: number | undefined
}

/** Milliseconds after which a page is fetched again that asks the database. */
export const listRefreshMs = 10_000

/** A whole page of that relay, with the state on top. */
export function framed(relay: string, { status = 200, title, at, main, refreshMs }: Content, state: State): Answer {
  const links = places.map(
    ([path, name]) => html`<li><a href="${path}"${path === at && html` aria-current="page"`}>${name}</a></li>`,
  )
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${state.tone !== 'green' && '(!) '}${title} · outbox · ${cut(relay, nameLength)}</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/dashboard.css">
<script src="/dashboard.js" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<p class="name">outbox <span>${cut(relay, nameLength)}</span></p>
<nav aria-label="Pages"><ul>${links}</ul></nav>
</header>
<main id="main" tabindex="-1"${refreshMs !== undefined && html` data-refresh="${refreshMs}"`}>
${stateHeader(state)}
<div class="title"><h1>${title}</h1>
${refreshMs !== undefined && html`<p class="refresh"><span role="status" data-updated></span> <button type="button" data-pause hidden>Stop updating</button></p>`}</div>
${main}
</main>
<footer><p>This page only reads. The command line acts: <code>npx prisma-extension-outbox --help</code></p></footer>
</body>
</html>
`
  return { status, type: 'text/html; charset=utf-8', body: String(page) }
}
