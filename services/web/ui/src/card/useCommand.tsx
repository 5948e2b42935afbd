// One command to the backend at a time, and how its course is shown.

import { ApiError } from '@ibstream/client'
import { useState } from 'react'
import styles from './Control.module.css'
import { useCard } from './hooks'
import { word } from './strings'

export type Action = 'start' | 'stop'

/** A second click while a command is under way does nothing. */
export function useCommand() {
  const { store } = useCard()
  const [pending, setPending] = useState<Action>()
  const [failure, setFailure] = useState<ApiError>()
  async function run(action: Action, send: () => Promise<void>): Promise<void> {
    if (pending) return
    setPending(action)
    setFailure(undefined)
    try {
      await send()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      setFailure(error)
    } finally {
      setPending(undefined)
      store.expectChange()
    }
  }
  return { pending, failure, run, forget: () => setFailure(undefined) }
}

export type CommandProps = ReturnType<typeof useCommand>

export function Failure({ error }: { error: ApiError }) {
  const { strings } = useCard()
  const text = word(strings.error, error.reason, error.message || strings.error.other)
  const detail = error.message && error.message !== text ? error.message : ''
  return (
    <p role="alert" className={styles.failure} data-testid="control-error">
      <strong>{text}</strong> {detail} <code>{error.reason}</code>
    </p>
  )
}

export function Pending({ text }: { text: string }) {
  return (
    <>
      <span className={styles.spinner} aria-hidden="true" />
      {text}
    </>
  )
}
