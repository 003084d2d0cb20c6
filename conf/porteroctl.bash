# bash completion for porteroctl(8)                        -*- shell-script -*-
# A test compares the words below with the verbs that porteroctl knows.

_porteroctl_words()
{
	case $1 in
	'') echo "auth cache check config limits log passwd ping reload status stop store upstream" ;;
	auth) echo "test" ;;
	cache) echo "flush" ;;
	config) echo "help show" ;;
	limits) echo "reset show top" ;;
	log) echo "reopen" ;;
	store) echo "status" ;;
	upstream) echo "drain list up" ;;
	esac
}

_porteroctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
	local options="--help --json --socket --version" first= second= i

	COMPREPLY=()
	case $previous in
	-s | --socket | -f | --file | -p | --plugins | -C | --config)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --socket | -f | --file | -p | --plugins | -c | --class | --from | --to) i=$((i + 1)) ;;
		-*) ;;
		*)
			if [ -z "$first" ]; then
				first=${COMP_WORDS[i]}
			elif [ -z "$second" ]; then
				second=${COMP_WORDS[i]}
			fi ;;
		esac
	done
	if [[ $word == -* ]]; then
		case "$first $second" in
		'check ') options="$options --from --online --to" ;;
		'config show') options="$options --all" ;;
		'config help') options="$options --plugins" ;;
		'auth test') options="$options --config" ;;
		'passwd '*) options="$options --class --delete --file --lock" ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
	elif [ -z "$second" ]; then
		mapfile -t COMPREPLY < \
		    <(compgen -W "$(_porteroctl_words "$first")" -- "$word")
	fi
}

complete -F _porteroctl porteroctl
