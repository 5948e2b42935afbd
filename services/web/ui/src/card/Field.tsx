// A field of a form: its label, the control, and under it what is wrong with it, or a word of help.

import type { ApiError } from '@ibstream/client'
import { type ReactNode, useId } from 'react'
import styles from './Control.module.css'
import type { FieldName } from './startRequest'
import { Failure } from './useCommand'

interface FieldProps {
  label: string
  help?: string
  name: FieldName
  value: string
  /** What is wrong with what was typed. */
  problem?: string
  /** What the backend refused for this field's sake. */
  refusal?: ApiError
  wide?: boolean
  onChange(value: string): void
}

interface TextFieldProps extends FieldProps {
  hint?: string
  numeric?: boolean
}

export function TextField({ hint, numeric, ...field }: TextFieldProps) {
  const id = useId()
  return (
    <Labelled id={id} {...field}>
      <input
        {...common(id, field)}
        placeholder={hint}
        inputMode={numeric ? 'numeric' : undefined}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => field.onChange(event.target.value)}
      />
    </Labelled>
  )
}

export interface Choice {
  value: string
  text: string
  disabled?: boolean
}

interface ChoiceFieldProps extends FieldProps {
  /** What an empty value means. */
  first: string
  choices: readonly Choice[]
}

export function ChoiceField({ first, choices, ...field }: ChoiceFieldProps) {
  const id = useId()
  return (
    <Labelled id={id} {...field}>
      <select {...common(id, field)} onChange={(event) => field.onChange(event.target.value)}>
        <option value="">{first}</option>
        {choices.map(({ value, text, disabled }) => (
          <option key={value} value={value} disabled={disabled}>
            {text}
          </option>
        ))}
      </select>
    </Labelled>
  )
}

function common(id: string, { name, value, problem, refusal, help }: FieldProps) {
  const wrong = problem !== undefined || refusal !== undefined
  return {
    id,
    name,
    value,
    'aria-invalid': wrong,
    'aria-describedby': wrong || help ? `${id}-note` : undefined,
  }
}

interface LabelledProps extends FieldProps {
  id: string
  children: ReactNode
}

function Labelled({ id, label, problem, refusal, help, wide, children }: LabelledProps) {
  return (
    <div className={styles.field} data-wide={wide}>
      <label htmlFor={id}>{label}</label>
      {children}
      {(problem || refusal || help) && (
        <div id={`${id}-note`} className={problem ? styles.problem : styles.help}>
          {problem ?? (refusal ? <Failure error={refusal} /> : help)}
        </div>
      )}
    </div>
  )
}
