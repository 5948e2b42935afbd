// Start and stop. A start that was accepted shows as the status changes; a refused one says why, in place.

import { type FormEvent, type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react'
import { ApiError } from './api'
import styles from './Control.module.css'
import { useCard, useHealth, useStore } from './hooks'
import { type FieldName, type Fields, parseStart } from './startRequest'
import { fill, type Strings, word } from './strings'

type Action = 'start' | 'stop'

/** Runs one command at a time; a second click while one is under way does nothing. */
function useCommand() {
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
  return { pending, failure, run }
}

export function Control() {
  const health = useHealth()
  const word = useStore('status', (store) => store.status?.status)
  const command = useCommand()
  if (health === 'loading' || health === 'away' || health === 'denied' || word === undefined) return null
  return (
    <div className={styles.control} data-stopped={word === 'stopped'}>
      {word === 'stopped' ? <StartForm {...command} /> : <StopButton {...command} />}
      {command.failure && <Failure error={command.failure} />}
    </div>
  )
}

function Failure({ error }: { error: ApiError }) {
  const { strings } = useCard()
  const text = word(strings.error, error.code, error.message || strings.error.other)
  const detail = error.message && error.message !== text ? error.message : ''
  return (
    <p role="alert" className={styles.failure} data-testid="control-error">
      <strong>{text}</strong> {detail} <code>{error.code}</code>
    </p>
  )
}

type CommandProps = ReturnType<typeof useCommand>

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

function Pending({ text }: { text: string }) {
  return (
    <>
      <span className={styles.spinner} aria-hidden="true" />
      {text}
    </>
  )
}

const EMPTY: Fields = { project: '', snapshot: '', maxSymbols: '', dataType: '', symbols: '', refresh: '' }

function StartForm({ pending, run }: CommandProps) {
  const { api, strings } = useCard()
  const [fields, setFields] = useState(EMPTY)
  const [wrong, setWrong] = useState<Partial<Record<FieldName, string>>>({})
  const form = useRef<HTMLFormElement>(null)

  function submit(event: FormEvent): void {
    event.preventDefault()
    const { request, problems } = parseStart(fields)
    const texts = Object.entries(problems).map(([name, { kind, min }]) => [
      name,
      fill(strings.invalid[kind], { min }),
    ])
    setWrong(Object.fromEntries(texts))
    const first = texts[0]?.[0]
    if (first) form.current?.querySelector<HTMLElement>(`[name="${first}"]`)?.focus()
    else void run('start', () => api.start(request))
  }
  const field = (name: FieldName) => ({
    name,
    value: fields[name],
    problem: wrong[name],
    onChange: (value: string) => setFields({ ...fields, [name]: value }),
  })
  const { control } = strings
  return (
    <form ref={form} className={styles.form} onSubmit={submit} aria-label={control.formLabel} noValidate>
      <div className={styles.fields}>
        <Field label={control.project} hint={control.projectHint} numeric {...field('project')} />
        <Field label={control.snapshot} hint={control.snapshotHint} numeric {...field('snapshot')} />
        <Field label={control.maxSymbols} hint={control.maxSymbolsHint} numeric {...field('maxSymbols')} />
        <DataTypeField strings={strings} {...field('dataType')} />
        <button type="submit" className={styles.primary} aria-disabled={pending !== undefined}>
          {pending === 'start' ? <Pending text={control.starting} /> : control.start}
        </button>
      </div>
      <details className={styles.more}>
        <summary>{control.more}</summary>
        <div className={styles.fields}>
          <Field
            label={control.symbols}
            hint={control.symbolsHint}
            help={control.symbolsHelp}
            wide
            {...field('symbols')}
          />
          <Field
            label={`${control.refresh} (${control.refreshUnit})`}
            hint={control.refreshHint}
            numeric
            {...field('refresh')}
          />
        </div>
      </details>
    </form>
  )
}

interface FieldProps {
  label: string
  hint?: string
  help?: string
  name: FieldName
  value: string
  problem?: string
  numeric?: boolean
  wide?: boolean
  onChange(value: string): void
}

function Field({ label, hint, help, name, value, problem, numeric, wide, onChange }: FieldProps) {
  const id = useId()
  return (
    <Labelled id={id} label={label} problem={problem} help={help} wide={wide}>
      <input
        id={id}
        name={name}
        value={value}
        placeholder={hint}
        inputMode={numeric ? 'numeric' : undefined}
        autoComplete="off"
        spellCheck={false}
        aria-invalid={problem !== undefined}
        aria-describedby={problem || help ? `${id}-note` : undefined}
        onChange={(event) => onChange(event.target.value)}
      />
    </Labelled>
  )
}

function DataTypeField({ strings, name, value, onChange }: Omit<FieldProps, 'label'> & { strings: Strings }) {
  const id = useId()
  return (
    <Labelled id={id} label={strings.control.dataType}>
      <select id={id} name={name} value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{strings.control.dataTypeDefault}</option>
        {(['realtime', 'frozen', 'delayed', 'delayed_frozen'] as const).map((type) => (
          <option key={type} value={type}>
            {strings.dataType[type]}
          </option>
        ))}
      </select>
    </Labelled>
  )
}

interface LabelledProps {
  id: string
  label: string
  problem?: string
  help?: string
  wide?: boolean
  children: ReactNode
}

function Labelled({ id, label, problem, help, wide, children }: LabelledProps) {
  return (
    <div className={styles.field} data-wide={wide}>
      <label htmlFor={id}>{label}</label>
      {children}
      {(problem || help) && (
        <span id={`${id}-note`} className={problem ? styles.problem : styles.help}>
          {problem ?? help}
        </span>
      )}
    </div>
  )
}
