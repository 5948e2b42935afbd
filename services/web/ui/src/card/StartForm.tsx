// What to stream: a project and a snapshot from what there is, and what would come of it before it is started. A
// refusal stands at the field that caused it. Where the lists cannot be had, numbers can be typed as before.

import { ApiError, type ProjectChoice, type SnapshotChoice } from '@ibstream/client'
import { type FormEvent, useEffect, useMemo, useRef, useState } from 'react'
import styles from './Control.module.css'
import { type Choice, ChoiceField, TextField } from './Field'
import { useCard, useStore } from './hooks'
import { PlanPreview } from './PlanPreview'
import { blamedField, type FieldName, type Fields, parseStart } from './startRequest'
import { fill, type Strings, word } from './strings'
import { type CommandProps, Failure, Pending } from './useCommand'

const EMPTY: Fields = { project: '', snapshot: '', maxSymbols: '', dataType: '', symbols: '', refresh: '' }
const FOLDED: readonly FieldName[] = ['symbols', 'refresh']
const DATA_TYPES = ['realtime', 'frozen', 'delayed', 'delayed_frozen'] as const

export function StartForm({ pending, failure, run, forget }: CommandProps) {
  const { api, strings } = useCard()
  const [fields, setFields] = useState(EMPTY)
  const [submitted, setSubmitted] = useState(false)
  const [unfolded, setUnfolded] = useState(false)
  const [foreseen, setForeseen] = useState<ApiError>()
  const form = useRef<HTMLFormElement>(null)
  const before = useStore('status', (store) => store.status?.project_id ?? undefined)
  const { request, problems } = useMemo(() => parseStart(fields), [fields])
  const { projects, unlisted } = useProjects()
  const snapshots = useSnapshots(unlisted ? undefined : (request.project_id ?? before))
  const refusal = failure ?? foreseen
  const blamed = refusal && blamedField(refusal)
  const hidden = blamed !== undefined && FOLDED.includes(blamed)

  function submit(event: FormEvent): void {
    event.preventDefault()
    setSubmitted(true)
    const first = Object.keys(problems)[0]
    if (first) form.current?.querySelector<HTMLElement>(`[name="${first}"]`)?.focus()
    else void run('start', () => api.start(request))
  }

  const field = (name: FieldName) => {
    const problem = submitted ? problems[name] : undefined
    return {
      name,
      value: fields[name],
      problem: problem && fill(strings.invalid[problem.kind], { min: problem.min }),
      refusal: blamed === name ? refusal : undefined,
      onChange: (value: string) => {
        forget()
        setForeseen(undefined)
        // another project has other snapshots
        setFields({ ...fields, ...(name === 'project' ? { snapshot: '' } : {}), [name]: value })
      },
    }
  }
  const { control } = strings
  const dataTypes = DATA_TYPES.map((type) => ({ value: type, text: strings.dataType[type] }))
  return (
    <form ref={form} className={styles.form} onSubmit={submit} aria-label={control.formLabel} noValidate>
      <div className={styles.fields}>
        {unlisted ? (
          <TextField label={control.project} hint={control.projectHint} numeric {...field('project')} />
        ) : (
          <ChoiceField
            label={control.project}
            first={control.projectDefault}
            choices={projects.map((project) => projectOption(project, strings))}
            wide
            {...field('project')}
          />
        )}
        {unlisted ? (
          <TextField label={control.snapshot} hint={control.snapshotHint} numeric {...field('snapshot')} />
        ) : (
          <ChoiceField
            label={control.snapshot}
            first={control.snapshotNewest}
            choices={snapshots.map((snapshot) => snapshotOption(snapshot, strings))}
            wide
            {...field('snapshot')}
          />
        )}
        <TextField
          label={control.maxSymbols}
          hint={control.maxSymbolsHint}
          numeric
          {...field('maxSymbols')}
        />
        <ChoiceField
          label={control.dataType}
          first={control.dataTypeDefault}
          choices={dataTypes}
          {...field('dataType')}
        />
        <button type="submit" className={styles.primary} aria-disabled={pending !== undefined}>
          {pending === 'start' ? <Pending text={control.starting} /> : control.start}
        </button>
      </div>
      <details
        className={styles.more}
        open={unfolded || hidden}
        onToggle={(event) => setUnfolded(event.currentTarget.open)}
      >
        <summary>{control.more}</summary>
        <div className={styles.fields}>
          <TextField
            label={control.symbols}
            hint={control.symbolsHint}
            help={control.symbolsHelp}
            wide
            {...field('symbols')}
          />
          <TextField
            label={`${control.refresh} (${control.refreshUnit})`}
            hint={control.refreshHint}
            numeric
            {...field('refresh')}
          />
        </div>
      </details>
      {failure && !blamed && <Failure error={failure} />}
      {!failure && Object.keys(problems).length === 0 && (
        <PlanPreview request={request} onRefusal={setForeseen} />
      )}
    </form>
  )
}

interface Projects {
  projects: readonly ProjectChoice[]
  /** They cannot be had, or there are more than the list has: a number must do. */
  unlisted: boolean
}

/** The projects to choose from; none while they are awaited, so that no field is replaced under the cursor. */
function useProjects(): Projects {
  const { api, store } = useCard()
  const [found, setFound] = useState<Projects>({ projects: [], unlisted: false })
  useEffect(() => {
    let current = true
    api.projects().then(
      ({ projects, more }) => {
        store.learnNames(projects)
        if (current) setFound({ projects, unlisted: more })
      },
      (error) => {
        onlyApi(error)
        if (current) setFound({ projects: [], unlisted: true })
      },
    )
    return () => {
      current = false
    }
  }, [api, store])
  return found
}

function useSnapshots(project: number | undefined): readonly SnapshotChoice[] {
  const { api } = useCard()
  const [found, setFound] = useState<{ project: number; snapshots: readonly SnapshotChoice[] }>()
  useEffect(() => {
    if (project === undefined) return
    let current = true
    api.snapshots(project).then((snapshots) => current && setFound({ project, snapshots }), onlyApi)
    return () => {
      current = false
    }
  }, [api, project])
  return found && found.project === project ? found.snapshots : []
}

function onlyApi(error: unknown): void {
  if (!(error instanceof ApiError)) throw error
}

function projectOption({ id, name, archived, snapshot }: ProjectChoice, strings: Strings): Choice {
  const { control } = strings
  const note = archived ? control.archived : snapshot ? '' : control.noSnapshot
  const text = fill(control.projectOption, { name, id }) + (note && ` (${note})`)
  return { value: String(id), text, disabled: archived }
}

function snapshotOption({ id, date, usable, count, problem }: SnapshotChoice, strings: Strings): Choice {
  const { control } = strings
  const parts = [date ?? '', fill(control.snapshotOption, { id })]
  if (count != null) parts.push(fill(control.snapshotCount, { count }))
  if (!usable) parts.push(control.unusable)
  else if (problem) parts.push(word(strings.error, 'snapshot_unreadable'))
  return { value: String(id), text: parts.filter(Boolean).join(' · '), disabled: !usable }
}
