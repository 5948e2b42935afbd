// The first thing to read: can these prices be trusted, and if not, why.

import { ageOf, type Health, heartbeatAge, TONE } from './health'
import { useBeat, useCard, useHealth, useStore } from './hooks'
import { ToneIcon } from './Icon'
import styles from './StreamCard.module.css'
import { fill, type Strings, word } from './strings'
import type { Status } from './types'

export function Headline() {
  const { strings } = useCard()
  const health = useHealth()
  return (
    <div className={styles.headline}>
      <h2 className={styles.title}>
        {strings.title}
        <PlanLine />
      </h2>
      <p className={styles.statusLine}>
        <span className={styles.badge} data-tone={TONE[health]} data-testid="status-badge">
          <ToneIcon
            tone={TONE[health]}
            size={17}
            className={TONE[health] === 'busy' ? styles.spin : undefined}
          />
          {strings.status[health]}
        </span>
        <Sentence health={health} />
      </p>
    </div>
  )
}

function PlanLine() {
  const { strings } = useCard()
  const status = useStore('status', (store) => store.status)
  const plan = useStore('plan', (store) => store.plan)
  const project = status?.project_id
  if (project == null) return null
  const name = plan?.project_id === project && plan.project_name
  const parts = [name || fill(strings.project, { id: project })]
  if (status?.decision_snapshot_id != null) {
    parts.push(fill(strings.snapshot, { id: status.decision_snapshot_id }))
  }
  const cut = plan?.cut?.length ?? 0
  if (cut > 0) parts.push(fill(strings.cut, { count: cut }))
  return <span className={styles.planLine}>{parts.join(' · ')}</span>
}

function Sentence({ health }: { health: Health }) {
  const { strings } = useCard()
  const status = useStore('status', (store) => store.status)
  if (health === 'away' || health === 'denied') return <AwaySentence health={health} />
  if (health === 'silent') return <SilentSentence />
  return (
    <span className={styles.reason} data-testid="status-reason">
      {reasonText(health, status, strings)}
    </span>
  )
}

/** Why, in words: this card's own for a reason it knows, else the backend's sentence. */
export function reasonText(health: Health, status: Status | undefined, strings: Strings): string {
  if (!status?.reason || !(health in strings.statusLine) || health === 'loading')
    return strings.statusLine[health]
  const known = word(strings.reason, status.reason, status.message ?? undefined)
  const broken = Object.entries(status.services ?? {})
    .filter(([, service]) => service.state !== 'up')
    .map(([name]) => name)
  const names = status.reason.startsWith('service_') && broken.length > 0 ? ` (${broken.join(', ')})` : ''
  return known + names
}

function AwaySentence({ health }: { health: 'away' | 'denied' }) {
  const { store, strings, format } = useCard()
  const connection = useStore('connection', (s) => s.connection)
  const beat = useBeat()
  if (connection.phase !== 'away') return null
  const now = Math.max(beat, Date.now())
  const wait = (connection.retryAt - now) / 1000
  return (
    <span className={styles.reason} data-testid="status-reason">
      {fill(strings.statusLine[health], { age: format.age((now - connection.since) / 1000) })}{' '}
      <span className={styles.muted}>
        {wait > 0.5 ? fill(strings.retryIn, { age: format.age(Math.ceil(wait)) }) : strings.retrying}
      </span>{' '}
      <button type="button" className={styles.link} onClick={() => store.retryNow()}>
        {strings.retryNow}
      </button>
    </span>
  )
}

function SilentSentence() {
  const { strings, format } = useCard()
  const status = useStore('status', (store) => store.status)
  const beat = useBeat()
  return (
    <span className={styles.reason} data-testid="status-reason">
      {fill(strings.statusLine.silent, { age: format.age(heartbeatAge(status, beat)) })}
    </span>
  )
}

/** Simulated prices are said once for the whole card, besides on each row. */
export function MockNotice() {
  const { strings } = useCard()
  const mock = useStore('status', (store) => store.status?.api_mode === 'mock')
  if (!mock) return null
  return (
    <p className={styles.mock} data-testid="mock-notice">
      <strong>{strings.mock.label}</strong> {strings.mock.text}
    </p>
  )
}

/** For screen readers, and only when the status or its reason changes. */
export function Announcer() {
  const { strings } = useCard()
  const health = useHealth()
  const status = useStore('status', (store) => store.status)
  const own = health === 'away' || health === 'silent' || health === 'denied' || health === 'loading'
  const reason = own ? '' : status?.reason ? reasonText(health, status, strings) : ''
  return (
    <p className={styles.srOnly} role="status">
      {fill(strings.announce, { status: strings.status[health], reason }).trim()}
    </p>
  )
}

export function secondsSince(time: string, nowMs: number): number {
  return Math.max(0, ageOf(time, nowMs))
}
