// What stands above the quotes: filter, states to choose from, sorting on a narrow card, density, and the file.

import type { SortingState } from '@tanstack/react-table'
import { useId, useState } from 'react'
import { headerText, NUMERIC, OPTIONAL, SORTABLE } from './columns'
import { EXTRA_GROUPS, EXTRAS } from './extraColumns'
import { useCard } from './hooks'
import styles from './QuoteTable.module.css'
import shared from './shared.module.css'
import { word } from './strings'

export function Filter({ value, onChange }: { value: string; onChange(value: string): void }) {
  const { strings } = useCard()
  return (
    <span className={styles.filter}>
      <svg width="14" height="14" viewBox="0 0 16 16" aria-hidden="true">
        <circle cx="7" cy="7" r="4.6" fill="none" stroke="currentColor" strokeWidth="1.6" />
        <path d="m10.5 10.5 4 4" stroke="currentColor" strokeWidth="1.6" />
      </svg>
      <input
        type="text"
        value={value}
        aria-label={strings.table.filter}
        placeholder={strings.table.filter}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => event.key === 'Escape' && onChange('')}
      />
      {value && (
        <button type="button" aria-label={strings.table.clearFilter} onClick={() => onChange('')}>
          ×
        </button>
      )}
    </span>
  )
}

interface StateChipsProps {
  counts: Map<string, number>
  total: number
  only: string | undefined
  onChange(state: string | undefined): void
}

export function StateChips({ counts, total, only, onChange }: StateChipsProps) {
  const { strings, format } = useCard()
  if (counts.size === 0) return null
  return (
    <fieldset className={styles.chips}>
      <legend className={shared.srOnly}>{strings.table.stateFilter}</legend>
      <button type="button" aria-pressed={only === undefined} onClick={() => onChange(undefined)}>
        {strings.table.all} <b>{format.count(total)}</b>
      </button>
      {[...counts].map(([state, count]) => (
        <button
          key={state}
          type="button"
          aria-pressed={only === state}
          onClick={() => onChange(only === state ? undefined : state)}
        >
          {word(strings.state, state)} <b>{format.count(count)}</b>
        </button>
      ))}
    </fieldset>
  )
}

interface SortSelectProps {
  sorting: SortingState
  added: readonly string[]
  onChange(sorting: SortingState): void
}

/** On a narrow card most headers are hidden: the same sorting from a list. */
export function SortSelect({ sorting, added, onChange }: SortSelectProps) {
  const { strings } = useCard()
  return (
    <Choice
      className={styles.sortSelect}
      label={strings.table.sortBy}
      none={strings.table.planOrder}
      choices={[...SORTABLE, ...added].map((name) => [name, headerText(name, strings)])}
      chosen={sorting[0]?.id ?? ''}
      onChange={(id) => onChange(id ? [{ id, desc: NUMERIC.has(id) && id !== 'age' }] : [])}
    />
  )
}

interface GroupSelectProps {
  groups: readonly string[]
  group: string | undefined
  onChange(group: string | undefined): void
}

/** The symbols that one reason of the plan brought, such as those of the decision snapshot. */
export function GroupSelect({ groups, group, onChange }: GroupSelectProps) {
  const { strings } = useCard()
  if (groups.length < 2) return null
  return (
    <Choice
      className={styles.groupSelect}
      label={strings.table.group}
      none={strings.table.allGroups}
      choices={groups.map((name) => [name, word(strings.group, name)])}
      chosen={group ?? ''}
      onChange={(name) => onChange(name || undefined)}
    />
  )
}

interface ChoiceProps {
  className: string | undefined
  label: string
  none: string
  choices: readonly [string, string][]
  chosen: string
  onChange(chosen: string): void
}

function Choice({ className, label, none, choices, chosen, onChange }: ChoiceProps) {
  const id = useId()
  return (
    <span className={className}>
      <label htmlFor={id}>{label}</label>
      <select id={id} value={chosen} onChange={(event) => onChange(event.target.value)}>
        {[['', none], ...choices].map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </span>
  )
}

interface ColumnMenuProps {
  hidden: readonly string[]
  onChange(hidden: string[]): void
  added: readonly string[]
  onAdd(added: string[]): void
}

/** Which columns are shown, by what they are about; the card hides some more where it is narrow. */
export function ColumnMenu({ hidden, onChange, added, onAdd }: ColumnMenuProps) {
  const { strings } = useCard()
  const [open, setOpen] = useState(false)
  return (
    <details className={styles.columnMenu} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{strings.table.columns}</summary>
      {open && (
        <div className={styles.columnGroups}>
          <Choices
            title={strings.columnGroup.quote}
            ids={OPTIONAL}
            chosen={OPTIONAL.filter((id) => !hidden.includes(id))}
            onChange={(chosen) => onChange(OPTIONAL.filter((id) => !chosen.includes(id)))}
          />
          {EXTRA_GROUPS.map((group) => (
            <Choices
              key={group}
              title={word(strings.columnGroup, group)}
              ids={EXTRAS.filter((column) => column.group === group).map(({ id }) => id)}
              chosen={added}
              onChange={onAdd}
            />
          ))}
        </div>
      )}
    </details>
  )
}

interface ChoicesProps {
  title: string
  ids: readonly string[]
  chosen: readonly string[]
  onChange(chosen: string[]): void
}

function Choices({ title, ids, chosen, onChange }: ChoicesProps) {
  const { strings } = useCard()
  return (
    <fieldset>
      <legend>{title}</legend>
      {ids.map((id) => (
        <label key={id}>
          <input
            type="checkbox"
            checked={chosen.includes(id)}
            onChange={(event) =>
              onChange(event.target.checked ? [...chosen, id] : chosen.filter((one) => one !== id))
            }
          />
          {headerText(id, strings)}
        </label>
      ))}
    </fieldset>
  )
}

interface ActionsProps {
  compact: boolean
  onCompact(compact: boolean): void
  onSave: (() => void) | undefined
}

export function Actions({ compact, onCompact, onSave }: ActionsProps) {
  const { strings } = useCard()
  return (
    <span className={styles.actions}>
      <button
        type="button"
        className={styles.density}
        aria-pressed={compact}
        onClick={() => onCompact(!compact)}
      >
        {strings.table.compact}
      </button>
      {onSave && (
        <button type="button" title={strings.table.csvHelp} onClick={onSave}>
          {strings.table.csv}
        </button>
      )}
    </span>
  )
}
