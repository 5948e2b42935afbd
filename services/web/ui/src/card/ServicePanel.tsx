// For whoever runs it: each service, the IB link, its farms, and what the pipeline warns of. Folded away.

import { Fragment } from 'react'
import { useCard, useStore } from './hooks'
import { ToneIcon } from './Icon'
import styles from './StreamCard.module.css'
import { fill, word } from './strings'

const TONE = { up: 'good', down: 'bad', failing: 'warn' } as const
const FARM_TONE: Record<string, 'good' | 'idle' | 'bad'> = { ok: 'good', inactive: 'idle', broken: 'bad' }

export function ServicePanel() {
  const { strings, format } = useCard()
  const status = useStore('status', (store) => store.status)
  if (!status) return null
  const { services = {}, link, links, lock, warnings = [], plan_problem: problem } = status
  const down = Object.values(services).filter((service) => service.state !== 'up').length
  const facts = [
    [strings.services.lock, lock && `${lock.owner} · ${format.dateTime(Date.parse(lock.since))}`],
    [strings.services.planProblem, problem],
    [strings.services.warnings, warnings.join(' ')],
  ]
  return (
    <details className={styles.services}>
      <summary>
        <span>{strings.services.title}</span>
        <span className={styles.summaryNote}>
          <ToneIcon tone={down > 0 ? 'bad' : 'good'} size={12} />
          {Object.keys(services).length - down}/{Object.keys(services).length} {strings.services.up}
        </span>
      </summary>
      <ul className={styles.serviceList}>
        {Object.entries(services).map(([name, service]) => (
          <li key={name}>
            <ToneIcon tone={TONE[service.state]} size={13} />
            <b>{name}</b> {strings.services[service.state]}
            {service.pid != null && (
              <span className={styles.muted}>{fill(strings.services.pid, { pid: service.pid })}</span>
            )}
            {service.detail && <span className={styles.muted}>{service.detail}</span>}
          </li>
        ))}
      </ul>
      <dl className={styles.facts}>
        {Object.entries(links ?? (link ? { '': link } : {})).map(([gateway, one]) => (
          <Fragment key={gateway}>
            <div>
              <dt>{`${strings.services.link} ${gateway}`.trim()}</dt>
              <dd>
                {word(strings.phase, one.phase)}
                {one.endpoint && ` · ${one.endpoint}`}
                {one.reason && ` · ${word(strings.reason, one.reason)}`}
                {one.detail && ` · ${one.detail}`}
              </dd>
            </div>
            {Object.keys(one.farms ?? {}).length > 0 && (
              <div>
                <dt>{`${strings.services.farms} ${gateway}`.trim()}</dt>
                <dd className={styles.farms}>
                  {Object.entries(one.farms ?? {}).map(([farm, state]) => (
                    <span key={farm}>
                      <ToneIcon tone={FARM_TONE[state] ?? 'idle'} size={11} /> {farm}{' '}
                      {word(strings.farm, state)}
                    </span>
                  ))}
                </dd>
              </div>
            )}
          </Fragment>
        ))}
        {facts
          .filter(([, text]) => text)
          .map(([name, text]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{text}</dd>
            </div>
          ))}
      </dl>
    </details>
  )
}
