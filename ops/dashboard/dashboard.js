// The dashboard's own script. Without it every page still works; with it the overview stays fresh, and commands are copied by a button.

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
  while (old.childNodes.length > children.length) old.lastChild.remove()
  children.forEach((child, n) => {
    if (old.childNodes[n]) morph(old.childNodes[n], child)
    else old.append(child.cloneNode(true))
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
    const fresh = parser.parseFromString(await response.text(), 'text/html').querySelector('main')
    if (paused) return
    morph(main, fresh)
    controls()
    tell('Updated every few seconds while you look.')
  } catch {
    tell('The relay does not answer: these figures are old.')
  }
}

if (main.dataset.refresh) {
  controls()
  tell('Updated every few seconds while you look.')
  setInterval(() => {
    if (!paused && document.visibilityState === 'visible') refresh()
  }, Number(main.dataset.refresh))
}

document.addEventListener('click', async ({ target }) => {
  if (target.matches('[data-pause]')) {
    paused = !paused
    controls()
    tell(paused ? 'Not updated.' : 'Updated every few seconds while you look.')
    return
  }
  if (!target.matches('[data-copy]')) return
  const code = target.parentElement.querySelector('code')
  try {
    await navigator.clipboard.writeText(code.textContent)
    target.textContent = 'Copied'
  } catch {
    // Over plain HTTP only loopback may use the clipboard: the text is selected, and the keyboard copies it.
    getSelection().selectAllChildren(code)
    target.textContent = 'Selected'
  }
})
