// The first thing to read: can these prices be trusted, and if not, why.

import type { Status } from '@ibstream/client'
import { type Health, heartbeatAge, TONE } from './health'
import { type CardContext, useBeat, useCard, useHealth, useStore } from './hooks'
import { ToneIcon } from './Icon'
import styles from './StreamCard.module.css'
import shared from './shared.module.css'
import { fill, word } from './strings'

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
        <span
          className={`${styles.badge} ${shared.tone}`}
          data-tone={TONE[health]}
          data-testid="status-badge"
        >
          <ToneIcon
            tone={TONE[health]}
            size={17}
            className={TONE[health] === 'busy' ? styles.spin : undefined}
          />
          {strings.status[health]}
        </span>
        <Sentence health={health} />
        <Trust health={health} />
      </p>
    </div>
  )
}

function PlanLine() {
  const { strings } = useCard()
  const status = useStore('status', (store) => store.status)
  const plan = useStore('plan', (store) => store.plan)
  const project = status?.project_id
  const name = useStore('plan', (store) => (project == null ? undefined : store.projectName(project)))
  if (project == null) return null
  const parts = [name || fill(strings.project, { id: project })]
  if (status?.decision_snapshot_id != null) {
    parts.push(fill(strings.snapshot, { id: status.decision_snapshot_id }))
  }
  const cut = plan?.cut?.length ?? 0
  if (cut > 0) parts.push(fill(strings.cut, { count: cut }))
  return <span className={styles.planLine}>{parts.join(' · ')}</span>
}

function Sentence({ health }: { health: Health }) {
  const card = useCard()
  const status = useStore('status', (store) => store.status)
  if (health === 'away' || health === 'denied') return <AwaySentence health={health} />
  if (health === 'silent') return <SilentSentence />
  return (
    <span className={styles.reason} data-testid="status-reason">
      {reasonText(health, status, card)}
    </span>
  )
}

/** Whether the prices below may be used. */
function Trust({ health }: { health: Health }) {
  const { strings } = useCard()
  const filled = useStore('symbols', (store) => store.symbols.length > 0)
  if (!filled || !Object.hasOwn(strings.trust, health)) return null
  return (
    <span className={styles.trust} data-testid="status-trust">
      {word(strings.trust, health)}
    </span>
  )
}

/** Why, in words: the backend's own sentence where it is in the reader's language, else this card's words. */
export function reasonText(
  health: Health,
  status: Status | undefined,
  { strings, language }: Pick<CardContext, 'strings' | 'language'>,
): string {
  if (!status?.reason || health === 'loading') return strings.statusLine[health]
  const own = Object.hasOwn(strings.reason, status.reason)
  const sentence =
    status.message && (language === 'en' || !own)
      ? asSentence(status.message)
      : word(strings.reason, status.reason) + brokenServices(status)
  return status.link?.expected ? `${sentence} ${strings.reason.expected_reset}` : sentence
}

function asSentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')
}

function brokenServices(status: Status): string {
  if (!status.reason?.startsWith('service_')) return ''
  const names = Object.entries(status.services ?? {}).filter(([, service]) => service.state !== 'up')
  return names.length > 0 ? ` (${names.map(([name]) => name).join(', ')})` : ''
}

function AwaySentence({ health }: { health: 'away' | 'denied' }) {
  const { store, strings, format } = useCard()
  const connection = useStore('connection', (s) => s.connection)
  useBeat()
  if (connection.phase !== 'away') return null
  const now = store.now()
  const wait = (connection.retryAt - now) / 1000
  return (
    <span className={styles.reason} data-testid="status-reason">
      {health === 'denied'
        ? word(strings.error, connection.code)
        : fill(strings.statusLine.away, { age: format.age((now - connection.since) / 1000) })}{' '}
      <span className={styles.muted}>
        {wait > 0.5 ? fill(strings.retryIn, { age: format.age(Math.ceil(wait)) }) : strings.retrying}
      </span>{' '}
      <button type="button" className={shared.link} onClick={() => store.retryNow()}>
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
  const card = useCard()
  const { strings } = card
  const health = useHealth()
  const status = useStore('status', (store) => store.status)
  const own = health === 'away' || health === 'silent' || health === 'denied' || health === 'loading'
  const reason = own ? '' : status?.reason ? reasonText(health, status, card) : ''
  return (
    <p className={shared.srOnly} role="status">
      {fill(strings.announce, { status: strings.status[health], reason }).trim()}
    </p>
  )
}
