#!/bin/bash
# Where a real kube-apiserver and etcd are: prints the directory that holds both.
#
#   kube-assets.sh find    fails when there is none
#   kube-assets.sh build   builds it first when there is none: about 5 minutes, 2 GB of disk meanwhile
#
# KUBEBUILDER_ASSETS, when set, is the directory (the convention of envtest). Otherwise it is in the cache,
# made from Debian bookworm's source package of Kubernetes, the only suite that has the whole of it.
set -euo pipefail

# What is built: the source package, and how; a change of either is another directory.
version=1.20.5+really1.20.2-1.1+deb12u1
recipe=1

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/plexus/testbin
out=$cache/kube-apiserver-$version-r$recipe
bounds=(-q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Acquire::http::Timeout=60)

fail() {
  echo "kube-apiserver: $*" >&2
  exit 1
}

is_whole() {
  [ -x "$1/kube-apiserver" ] && [ -x "$1/etcd" ]
}

# Packages that the build needs; installed when we may.
install_packages() {
  local package missing=()
  for package in golang-go make gcc libc6-dev rsync dpkg-dev golang-github-modern-go-reflect2-dev; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local command="apt-get install -y --no-install-recommends ${missing[*]}"
  [ "$(id -u)" -eq 0 ] || fail "missing here: ${missing[*]}; run: sudo $command"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update "${bounds[@]}" >&2 || echo 'apt-get update failed; trying with the lists that are there' >&2
  $command "${bounds[@]}" >&2
}

# download WORK: etcd's package and the source, by a private state of apt on the mirror in use here.
download() {
  local work=$1 mirror signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Codename: bookworm' | head -n 1)
  # A mirror has all releases.
  [ -n "$mirror" ] ||
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' | head -n 1)
  [ -n "$mirror" ] || fail 'apt has no Debian mirror to take the sources from; run: apt-get update'
  mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/download"
  printf '%s\n' "deb $signed $mirror bookworm main" "deb-src $signed $mirror bookworm main" > "$work/sources.list"
  local apt=("${bounds[@]}" -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=)
  cd "$work/download"
  apt-get "${apt[@]}" update >&2
  apt-get "${apt[@]}" download etcd-server >&2
  apt-get "${apt[@]}" source --download-only "kubernetes=$version" >&2
}

# compile WORK: leaves the binary in WORK/out.
compile() {
  local work=$1
  export GOPATH=$work/go GOFLAGS='' GOPROXY=off GOCACHE=$work/gocache GOLDFLAGS='-s -w'
  unset GO111MODULE
  local source=$GOPATH/src/k8s.io/kubernetes
  mkdir -p "$(dirname "$source")"
  dpkg-source -x "$work"/download/kubernetes_*.dsc "$source" >&2
  # With Go 1.18 and later the vendored reflect2 1.0.1 corrupts memory: the server starts, and dies at the
  # first custom resource. Debian's 1.0.2 does not; its files are not all named alike.
  local vendored=$source/vendor/github.com/modern-go/reflect2
  rm -f "$vendored"/*.go "$vendored"/*.s
  cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} "$vendored/"
  # There is no git tree to take the version from.
  printf '%s\n' KUBE_GIT_COMMIT=unknown KUBE_GIT_TREE_STATE=archive KUBE_GIT_VERSION=v1.20.2 \
    KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20 > "$work/version"
  cd "$source"
  KUBE_GIT_VERSION_FILE=$work/version make WHAT=cmd/kube-apiserver >&2
  install -m 755 _output/local/go/bin/kube-apiserver "$work/out/"
}

build() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    fail 'it is built from a Debian package, and there is no apt here: set KUBEBUILDER_ASSETS to a directory with kube-apiserver and etcd'
  install_packages
  work=$(mktemp -d "$out.build.XXXXXX")
  # Go's module cache is read-only.
  trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
  mkdir "$work/out"
  download "$work"
  # Unpacked, not installed: the package would start a service.
  dpkg-deb -x "$work"/download/etcd-server_*.deb "$work/etcd"
  install -m 755 "$work/etcd/usr/bin/etcd" "$work/out/"
  compile "$work"
  echo 'trying what was built' >&2
  cd "$root"
  "$root/node_modules/.bin/node" test/rig/kube-apiserver-trial.ts "$work/out" >&2 ||
    fail 'it was built, and does not work; see above'
  rm -rf "$out"
  mv -T "$work/out" "$out"
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  is_whole "$KUBEBUILDER_ASSETS" || fail "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no kube-apiserver or no etcd in it"
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi
case ${1:-} in
  find)
    is_whole "$out" || fail "it is not in $out; npm run test:cluster builds it"
    ;;
  build)
    mkdir -p "$cache"
    # Whoever comes second waits for the first one's.
    exec 9> "$cache/.lock"
    flock -w 1800 9 || fail "another build holds $cache/.lock"
    is_whole "$out" || build
    ;;
  *)
    echo 'usage: kube-assets.sh find|build' >&2
    exit 2
    ;;
esac
echo "$out"
