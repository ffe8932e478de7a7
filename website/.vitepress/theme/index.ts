import { useRoute } from 'vitepress'
import DefaultTheme from 'vitepress/theme'
import { nextTick, onMounted, watch } from 'vue'

declare global {
  interface Window {
    mermaid?: { initialize(options: object): void; run(options: { nodes: Element[] }): Promise<void> }
  }
}

/** Draws the diagrams of a page. Mermaid is loaded by the pages that have one, as a file of its own: bundling it takes minutes. */
async function draw(): Promise<void> {
  const blocks = [...document.querySelectorAll('.language-mermaid pre')]
  if (blocks.length === 0) return
  if (!window.mermaid) {
    await new Promise((resolve, reject) => {
      const script = Object.assign(document.createElement('script'), { src: '/mermaid.min.js', onload: resolve, onerror: reject })
      document.head.append(script)
    })
    window.mermaid!.initialize({ startOnLoad: false })
  }
  const nodes = blocks.map((block) => {
    const node = document.createElement('div')
    node.textContent = block.textContent
    block.parentElement!.replaceWith(node)
    return node
  })
  await window.mermaid!.run({ nodes })
}

export default {
  extends: DefaultTheme,
  setup() {
    const route = useRoute()
    onMounted(draw)
    watch(
      () => route.path,
      () => nextTick(draw),
    )
  },
}
