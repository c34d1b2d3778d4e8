# Completion for bash. Made by 'npm run reference': change src/commands, not this file.

# Adds those of the words that begin with what is typed.
_guestmemfs_offer() {
  local word
  for word; do
    [[ $word == "$current"* ]] && COMPREPLY+=("$word")
  done
}

# COMMAND: sets `options` to its options.
_guestmemfs_options() {
  case $1 in
    mount) options='-o --resume --json -h --help' ;;
    umount) options='--discard --force --json -h --help' ;;
    list) options='--json -h --help' ;;
    status) options='-v --verbose --json -h --help' ;;
    freeze) options='--json -h --help' ;;
    thaw) options='--json -h --help' ;;
    format) options='--store --region --force --bad --forget-bad --json -h --help' ;;
    upgrade) options='--json -h --help' ;;
    run) options='--name --user --pool --order --env --before --after --suspend --trust-devmem --replace --ram --save --cancel --start -h --help' ;;
    vms) options='--json -h --help' ;;
    resume) options='--name --qemu --timeout --json -h --help' ;;
    live-update) options='--kernel --initrd --append --reuse-cmdline --via --dry-run --rehearse --vmm-only --qemu --name --abort --all-or-none --leave --patience --timeout --json -h --help' ;;
    handover | hand-over) options='--json -h --help' ;;
    report) options='--json --html -h --help' ;;
    doctor) options='--json --fix --blackout -y --yes -h --help' ;;
    reserve) options='--size --at --numa --store --replace --json -h --help' ;;
    install) options='--prefix -y --yes --libvirt --no-libvirt -h --help' ;;
    uninstall) options='--prefix -h --help' ;;
    metrics) options='--textfile -h --help' ;;
    fsck) options='--json -h --help' ;;
    dump) options='-h --help' ;;
    help) options='' ;;
    *) options='' ;;
  esac
}

# COMMAND OPTION, or COMMAND and the number of an argument: sets `kind` to what it takes; empty: no value.
_guestmemfs_kind() {
  case "$1 $2" in
    'mount '-o) kind='nothing' ;;
    'mount '1) kind='pool' ;;
    'mount '2) kind='directory' ;;
    'umount '1) kind='mount' ;;
    'status '1) kind='mount' ;;
    'freeze '1) kind='mount' ;;
    'thaw '1) kind='mount' ;;
    'format '--store) kind='words dax devmem' ;;
    'format '--region) kind='nothing' ;;
    'format '--bad) kind='nothing' ;;
    'format '1) kind='pool' ;;
    'upgrade '1) kind='mount' ;;
    'run '--name) kind='nothing' ;;
    'run '--user) kind='user' ;;
    'run '--pool) kind='mount' ;;
    'run '--order) kind='nothing' ;;
    'run '--env) kind='nothing' ;;
    'run '--before) kind='nothing' ;;
    'run '--after) kind='nothing' ;;
    'run '--ram) kind='file' ;;
    'run '--save) kind='nothing' ;;
    'run '--cancel) kind='nothing' ;;
    'run '--start) kind='nothing' ;;
    'run '1) kind='program' ;;
    'run '[1-9]*) kind='file' ;;
    'vms '1) kind='mount' ;;
    'resume '--name) kind='vm' ;;
    'resume '--qemu) kind='file' ;;
    'resume '--timeout) kind='nothing' ;;
    'resume '1) kind='mount' ;;
    'live-update '--kernel) kind='file' ;;
    'live-update '--initrd) kind='file' ;;
    'live-update '--append) kind='nothing' ;;
    'live-update '--via) kind='words kexec systemctl' ;;
    'live-update '--qemu) kind='file' ;;
    'live-update '--name) kind='vm' ;;
    'live-update '--leave) kind='vm' ;;
    'live-update '--patience) kind='nothing' ;;
    'live-update '--timeout) kind='nothing' ;;
    'live-update '1) kind='mount' ;;
    'handover '1 | 'hand-over '1) kind='mount' ;;
    'report '--html) kind='file' ;;
    'report '1) kind='mount' ;;
    'reserve '--size) kind='nothing' ;;
    'reserve '--at) kind='nothing' ;;
    'reserve '--numa) kind='nothing' ;;
    'reserve '--store) kind='words dax devmem' ;;
    'install '--prefix) kind='directory' ;;
    'uninstall '--prefix) kind='directory' ;;
    'metrics '--textfile) kind='file' ;;
    'fsck '1) kind='image' ;;
    'dump '1) kind='image' ;;
    'help '1) kind='words mount umount list status freeze thaw format upgrade run vms resume live-update handover report doctor reserve install uninstall metrics fsck dump help' ;;
    *) kind='' ;;
  esac
}

_guestmemfs_values() {
  local names
  case $1 in
    pool) mapfile -t names < <(guestmemfs list --json 2>/dev/null | grep -oE '"pool":"[A-Za-z0-9_./@%+,-]*"' | cut -d '"' -f 4) ;;
    mount | image) mapfile -t names < <(guestmemfs list --json 2>/dev/null | grep -oE '"(pool|mountPoint)":"[A-Za-z0-9_./@%+,-]*"' | cut -d '"' -f 4) ;;
    vm) mapfile -t names < <(guestmemfs vms --json 2>/dev/null | grep -oE '"name":"[A-Za-z0-9_./@%+,-]*"' | cut -d '"' -f 4) ;;
    user) mapfile -t names < <(compgen -u) ;;
    program) mapfile -t names < <(compgen -c -- "$current") ;;
    words\ *) read -r -a names <<<"${1#words }" ;;
    *) names=() ;;
  esac
  _guestmemfs_offer "${names[@]}"
  # Where nothing of that is typed: files, or directories.
  case $1 in
    file | image | program) compopt -o default 2>/dev/null ;;
    directory) compopt -o dirnames 2>/dev/null ;;
  esac
}

_guestmemfs() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command=${COMP_WORDS[1]} options kind index place=1 isOver=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _guestmemfs_offer mount umount list status freeze thaw format upgrade run vms resume live-update handover report doctor reserve install uninstall metrics fsck dump help -V --version -h --help
    return
  fi
  # '=' is a word of its own.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((index = 2; index < COMP_CWORD; index++)); do
    if [[ $isOver ]]; then
      ((place++))
    elif [[ ${COMP_WORDS[index]} == -- ]]; then
      isOver=1
    elif [[ ${COMP_WORDS[index]} == '=' ]]; then
      ((index++))
    elif [[ ${COMP_WORDS[index]} == -* ]]; then
      _guestmemfs_kind "$command" "${COMP_WORDS[index]}"
      [[ $kind && ${COMP_WORDS[index + 1]} != '=' ]] && ((index++))
    else
      ((place++))
    fi
  done
  if [[ ! $isOver ]]; then
    _guestmemfs_kind "$command" "$previous"
    if [[ $kind && $previous == -* ]]; then
      _guestmemfs_values "$kind"
      return
    fi
    if [[ $current == -* ]]; then
      _guestmemfs_options "$command"
      _guestmemfs_offer $options
      return
    fi
  fi
  _guestmemfs_kind "$command" "$place"
  _guestmemfs_values "$kind"
}

complete -F _guestmemfs guestmemfs
