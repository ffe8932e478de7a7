export async function register() {
  if (process.env.NEXT_RUNTIME !== 'nodejs') return
  const { startRelay } = await import('./src/relay')
  await startRelay()
}
