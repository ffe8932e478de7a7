// The dashboard's own script. Without it every page still works; with it pages stay fresh, charts tell the figures under the pointer, and
// commands and ids are copied by a button.

const main = document.querySelector('main')
const parser = new DOMParser()
let paused = false

/** Makes `old` what `fresh` is, and touches nothing that is the same: focus, selection and scroll position stay where they are. */
function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh.cloneNode(true))
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data
    return
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name)
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  const children = [...fresh.childNodes]
  keepRows(old, children)
  while (old.childNodes.length > children.length) old.lastChild.remove()
  children.forEach((child, n) => {
    if (old.childNodes[n]) morph(old.childNodes[n], child)
    else old.append(child.cloneNode(true))
  })
}

/** Lines tables and rows up by their key, so that each stays the element that it was: what has the focus is still the same message. */
function keepRows(old, children) {
  const keys = new Set(children.map((child) => child.dataset?.key))
  for (const row of [...old.children]) if (row.dataset.key && !keys.has(row.dataset.key)) row.remove()
  const kept = new Set([...old.children].map((row) => row.dataset.key))
  children.forEach((child, n) => {
    const key = child.dataset?.key
    if (key && kept.has(key)) while (old.childNodes[n] && !old.childNodes[n].dataset?.key) old.childNodes[n].remove()
    const at = old.childNodes[n]
    if (at?.dataset?.key !== key) old.insertBefore(child.cloneNode(true), at ?? null)
  })
}

/** Tells how fresh the page is. Only what goes wrong changes the words, so that nobody hears the time every few seconds. */
function tell(text) {
  const place = document.querySelector('[data-updated]')
  if (place && place.textContent !== text) place.textContent = text
}

function controls() {
  const button = document.querySelector('[data-pause]')
  button.hidden = false
  button.textContent = paused ? 'Go on updating' : 'Stop updating'
}

async function refresh() {
  try {
    const response = await fetch(location.href, { headers: { accept: 'text/html' }, signal: AbortSignal.timeout(10_000) })
    if (!response.ok) throw new Error(String(response.status))
    const fresh = parser.parseFromString(await response.text(), 'text/html')
    if (paused) return
    morph(main, fresh.querySelector('main'))
    document.title = fresh.title
    controls()
    probe.draw()
    tell('Updated every few seconds.')
  } catch {
    tell('The relay does not answer: these figures are old.')
  }
}

if (main.dataset.refresh) {
  controls()
  tell('Updated every few seconds.')
  setInterval(() => {
    if (!paused && document.visibilityState === 'visible') refresh()
  }, Number(main.dataset.refresh))
}

/** The figures of a chart at one moment: under the pointer, or where the arrow keys have led. */
const probe = {
  line: document.createElement('div'),
  spoken: document.createElement('p'),
  chart: null,
  at: 0,

  begin() {
    this.line.className = 'probe'
    this.line.hidden = true
    this.line.append(document.createElement('p'))
    this.line.ariaHidden = 'true'
    this.spoken.className = 'unseen'
    this.spoken.setAttribute('role', 'status')
    document.querySelector('footer').append(this.line, this.spoken)
  },

  show(chart, at) {
    this.chart = chart
    this.at = Math.max(0, Math.min(chart.viewBox.baseVal.width, at))
    this.draw()
  },

  hide() {
    this.chart = null
    this.line.hidden = true
    this.spoken.textContent = ''
  },

  draw() {
    if (!this.chart?.isConnected) return this.hide()
    const { dataset, viewBox } = this.chart
    const { width } = viewBox.baseVal
    const time = new Date(Date.now() - (width - this.at) * dataset.ms).toLocaleTimeString()
    const figures = [...this.chart.querySelectorAll('.line')].map(({ dataset: { name, values } }) =>
      `${name} ${values.split('|')[this.at]}`.trim(),
    )
    const box = this.chart.getBoundingClientRect()
    const share = this.at / width
    this.line.style.left = `${box.left + scrollX + share * box.width}px`
    this.line.style.top = `${box.top + scrollY}px`
    this.line.style.height = `${box.height}px`
    this.line.classList.toggle('left', share > 0.5)
    this.line.firstChild.textContent = [time, ...figures].join('\n')
    this.line.hidden = false
    if (document.activeElement === this.chart) this.spoken.textContent = [time, ...figures].join(', ')
  },
}
probe.begin()

const chartOf = (target) => target.closest?.('.chart svg')
const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -1e9, End: 1e9 }

for (const name of ['pointermove', 'pointerdown']) {
  document.addEventListener(name, ({ target, clientX }) => {
    const chart = chartOf(target)
    if (!chart) return probe.hide()
    const { left, width } = chart.getBoundingClientRect()
    probe.show(chart, Math.round(((clientX - left) / width) * chart.viewBox.baseVal.width))
  })
}
document.addEventListener('focusin', ({ target }) => {
  if (chartOf(target)?.matches(':focus-visible')) probe.show(target, 1e9)
})
document.addEventListener('focusout', () => probe.hide())
document.addEventListener('keydown', (event) => {
  const chart = chartOf(event.target)
  if (event.key === 'Escape') return probe.hide()
  if (!chart || !(event.key in steps)) return
  event.preventDefault()
  probe.show(chart, (probe.chart ? probe.at : chart.viewBox.baseVal.width) + steps[event.key])
})

for (const time of document.querySelectorAll('time')) time.title = new Date(time.dateTime).toLocaleString()

document.addEventListener('click', async ({ target }) => {
  if (target.matches('[data-pause]')) {
    paused = !paused
    controls()
    tell(paused ? 'Not updated.' : 'Updated every few seconds.')
    return
  }
  if (!target.matches('[data-copy]')) return
  const code = target.parentElement.querySelector('code')
  // A short id stands for the whole one.
  const text = code.parentElement.title || code.textContent
  try {
    await navigator.clipboard.writeText(text)
    target.textContent = 'Copied'
  } catch {
    code.textContent = text
    // Over plain HTTP only loopback may use the clipboard: the text is selected, and the keyboard copies it.
    getSelection().selectAllChildren(code)
    target.textContent = 'Selected'
  }
})
