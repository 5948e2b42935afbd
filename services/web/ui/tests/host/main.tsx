// Another app, as somebody else would write it: the built card by its package name, twice, among own styles.
// The backend's address comes as ?api=…

import { StreamCard, type StringsOverride } from '@ibstream/stream-card'
import '@ibstream/stream-card/stream-card.css'
import { createRoot } from 'react-dom/client'
import './host.css'

const api = new URLSearchParams(location.search).get('api') ?? ''
const words: StringsOverride = { title: 'Our feed', status: { connected: 'All is well' } }

const app = document.getElementById('app')
if (app) {
  createRoot(app).render(
    <main>
      <h1>Host app</h1>
      <p id="own-text">The host’s own text, button and table keep the host’s own look.</p>
      <button id="own-button" type="button">
        Own button
      </button>
      <StreamCard apiBase={api} strings={words} theme="light" />
      <StreamCard apiBase={api} language="zh" theme="dark" className="second" />
    </main>,
  )
}
