// The page's entry: what `make run` serves mounts here.

import './font.css'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Page } from './Page'
import './page.css'

const root = document.getElementById('root')
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Page />
    </StrictMode>,
  )
}
