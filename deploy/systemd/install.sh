#!/usr/bin/env bash
# Installs ibstream as systemd services, or brings an installation up to date; `--remove` takes it away and
# leaves data and settings. Idempotent. `--root DIR` stages everything below DIR and touches no system state.
#
#   sudo deploy/systemd/install.sh [--root DIR]
#   sudo deploy/systemd/install.sh --remove [--root DIR]
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
root="" remove=""
while [ $# -gt 0 ]; do
  case $1 in
    --root) root=$(mkdir -p "$2" && cd "$2" && pwd); shift 2 ;;
    --remove) remove=1; shift ;;
    *) echo "install.sh: unknown argument $1; expected --root DIR or --remove" >&2; exit 2 ;;
  esac
done

app=$root/opt/ibstream
units=$root/etc/systemd/system
settings=$root/etc/ibstream/ibstream.env
data=$root/var/lib/ibstream

if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
  echo "install.sh: needs root (or --root DIR to stage)" >&2
  exit 1
fi
systemd() { [ -n "$root" ] || systemctl "$@"; }

if [ -n "$remove" ]; then
  systemd disable --now ibstream.target 2>/dev/null || true
  systemd stop 'ibstream@*.service' 'ibstream-gateway@*.service' 2>/dev/null || true
  rm -f "$units"/ibstream@*.service "$units"/ibstream-gateway@*.service # masked ones too
  rm -f "$units/ibstream.target" "$root/usr/local/bin/ibstream"
  rm -rf "$units/ibstream.target.wants"
  rm -rf "$app"
  systemd daemon-reload
  echo "removed; kept: $data, $settings and the user ibstream"
  exit 0
fi

if [ -z "$root" ] && ! id ibstream >/dev/null 2>&1; then
  useradd --system --home-dir /var/lib/ibstream --shell /usr/sbin/nologin ibstream
fi
mkdir -p "$app" "$units" "$(dirname "$settings")" "$data"
# Copied aside and then exchanged: services that run meanwhile may still import a module.
new=$app/.new
rm -rf "$new" && mkdir "$new"
for part in ibstream messages services deploy; do
  cp -r "$source_dir/$part" "$new/$part"
done
rm -rf "$new/services/web/ui"
for part in ibstream messages services deploy; do
  rm -rf "${app:?}/$part" && mv "$new/$part" "$app/$part"
done
rmdir "$new"
cp "$source_dir/pyproject.toml" "$source_dir/README.md" "$source_dir/LICENSE" "$source_dir/requirements.lock" "$app/"
[ -x "$app/.venv/bin/python" ] || python3 -m venv "$app/.venv"
"$app/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$app/requirements.lock"
"$app/.venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable "$app"
mkdir -p "$root/usr/local/bin"
cat >"$root/usr/local/bin/ibstream" <<'WRAPPER'
#!/bin/sh
# The control CLI with the settings of the installed services.
export IBSTREAM_ENV_FILE="${IBSTREAM_ENV_FILE:-/etc/ibstream/ibstream.env}"
export IBSTREAM_DATA_ROOT="${IBSTREAM_DATA_ROOT:-/var/lib/ibstream}" IBSTREAM_RUN_DIR="${IBSTREAM_RUN_DIR:-/run/ibstream}"
exec /opt/ibstream/.venv/bin/ibstream "$@"
WRAPPER
chmod 755 "$root/usr/local/bin/ibstream"

if [ ! -e "$settings" ]; then
  (umask 027 && cp "$source_dir/deploy/env.example" "$settings")
fi
cp "$source_dir/deploy/systemd/ibstream@.service" "$source_dir/deploy/systemd/ibstream.target" "$units/"
# The same for each of several gateways, by its name: ibstream-gateway@NAME.
sed -e 's/services\.%i/services.gateway %i/' -e 's/^Description=.*/Description=ibstream gateway %i/' -e '1s/.*/# One of several gateways of ibstream, made by install.sh from ibstream@.service./' \
  "$source_dir/deploy/systemd/ibstream@.service" >"$units/ibstream-gateway@.service"
if [ -z "$root" ]; then
  chown root:ibstream "$settings" && chmod 640 "$settings"
  chown -R ibstream:ibstream "$data"
fi
systemd daemon-reload
systemd enable ibstream.target
echo "installed; settings: $settings; start with: systemctl start ibstream.target"
