// Start and stop. A start that was accepted shows as the status changes; a refused one says why, in place.

import { type KeyboardEvent, useEffect, useRef, useState } from 'react'
import styles from './Control.module.css'
import { useCard, useHealth, useStore } from './hooks'
import { StartForm } from './StartForm'
import { type CommandProps, Failure, Pending, useCommand } from './useCommand'

export function Control() {
  const health = useHealth()
  const word = useStore('status', (store) => store.status?.status)
  const command = useCommand()
  if (health === 'loading' || health === 'away' || health === 'denied' || word === undefined) return null
  const stopped = word === 'stopped'
  return (
    <div className={styles.control} data-stopped={stopped}>
      {stopped ? <StartForm {...command} /> : <StopButton {...command} />}
      {command.failure && !stopped && <Failure error={command.failure} />}
    </div>
  )
}

function StopButton({ pending, run }: CommandProps) {
  const { api, strings } = useCard()
  const [asking, setAsking] = useState(false)
  const yes = useRef<HTMLButtonElement>(null)
  const stop = useRef<HTMLButtonElement>(null)
  const wasAsking = useRef(false)
  useEffect(() => {
    if (asking) yes.current?.focus()
    else if (wasAsking.current) stop.current?.focus()
    wasAsking.current = asking
  }, [asking])
  const onKeyDown = (event: KeyboardEvent) => event.key === 'Escape' && setAsking(false)

  if (!asking) {
    return (
      <button
        ref={stop}
        type="button"
        className={styles.button}
        aria-disabled={pending !== undefined}
        onClick={() => pending || setAsking(true)}
      >
        {pending === 'stop' ? <Pending text={strings.control.stopping} /> : strings.control.stop}
      </button>
    )
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape is a shortcut for the button beside it
    <div className={styles.question} onKeyDown={onKeyDown}>
      <span id="ibs-stop-question">{strings.control.stopQuestion}</span>
      <button
        ref={yes}
        type="button"
        className={styles.danger}
        aria-describedby="ibs-stop-question"
        onClick={() => {
          setAsking(false)
          void run('stop', () => api.stop())
        }}
      >
        {strings.control.stopYes}
      </button>
      <button type="button" className={styles.button} onClick={() => setAsking(false)}>
        {strings.control.cancel}
      </button>
    </div>
  )
}
