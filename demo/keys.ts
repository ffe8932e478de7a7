/** Listens to single keys, if there is a keyboard; Ctrl-C is q. The returned function gives the keyboard back. */
export function listenToKeys(actions: Record<string, () => void>): () => void {
  const { stdin } = process
  if (!stdin.isTTY || !process.stdout.isTTY) return () => {}
  const onData = (data: Buffer) => actions[String(data) === '\x03' ? 'q' : String(data).toLowerCase()]?.()
  stdin.setRawMode(true).resume().on('data', onData)
  return () => {
    stdin.off('data', onData).setRawMode(false).pause()
  }
}
