#!/usr/bin/env bash
# Run a program of mohoalign on several machines that are reached by ssh, from the first of them or from any other:
#
#   examples/ssh/launch.sh "node-a node-b" 8 dpo --accelerate zero2 model=hub model.name=OWNER/NAME trainer=gpu \
#       data=files data.pairs=PAIRS.jsonl data.root=IMAGES out=runs/dpo
#   examples/ssh/launch.sh "node-a node-b" 8 benchmark adapter=runs/dpo/adapter out=runs/tuned
#
# The first argument are the hosts, the second the GPUs of each, the rest goes to the `mohoalign` command.
#
# Every host needs: this folder under the same path on a disk that all share (the run folder and the caches lie in
# it), the same Python environment under the same path, and a login by key (`ssh HOST true` asks for nothing).
#
# Variables: MAIN_ADDRESS, the first host's address for the others (its name, unless given); MAIN_PORT, a free port
# of it (29500). Handed on are NCCL_*, GLOO_*, OMP_NUM_THREADS, MOHOALIGN_EXTENSIONS, HF_HOME, HF_HUB_OFFLINE and
# WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY, WANDB_DIR. Where a host has several networks, NCCL_SOCKET_IFNAME and
# GLOO_SOCKET_IFNAME name the one to use. Keys (HF_TOKEN, WANDB_API_KEY, ...) are not handed on, since `ps` would
# show them: log in on every host (`hf auth login`, `wandb login`), or set them in its shell's start-up file.
#
# One host's failure ends all. Ctrl-C ends all. Then the same command goes on, for training with resume=true.
set -euo pipefail

if (($# < 3)); then
    sed -n '2,/^set /p' "$0" | sed -n 's/^# \{0,1\}//p' >&2
    exit 2
fi
read -ra hosts <<<"$1"
gpus=$2
shift 2
address=${MAIN_ADDRESS:-${hosts[0]}}
port=${MAIN_PORT:-29500}
program=$(command -v mohoalign) || {
    echo "there is no mohoalign command here: activate the environment that it is installed in" >&2
    exit 1
}

handed_on=()
pattern='^(NCCL_.*|GLOO_.*|OMP_NUM_THREADS|MOHOALIGN_EXTENSIONS|HF_HOME|HF_HUB_OFFLINE|WANDB_(MODE|PROJECT|ENTITY|DIR))$'
for name in $(compgen -e | grep -E "$pattern"); do
    handed_on+=("$name=${!name}")
done

logins=()
end_all() {
    trap - INT TERM
    if ((${#logins[@]})); then
        kill "${logins[@]}" 2>/dev/null || true # closes the terminal that the host's programs run in
    fi
}
trap 'end_all; exit 130' INT TERM

for rank in "${!hosts[@]}"; do
    command=("$program" "$@"
        --num_machines "${#hosts[@]}" --machine_rank "$rank" --num_processes "$((${#hosts[@]} * gpus))"
        --main_process_ip "$address" --main_process_port "$port")
    # Quoted once more, since ssh hands one line to the shell over there.
    printf -v line '%q ' cd "$PWD"
    printf -v start '%q ' exec env "${handed_on[@]}" "${command[@]}"
    # -tt: a terminal over there, so that its programs end when this login does.
    ssh -tt "${hosts[rank]}" "$line && $start" </dev/null &
    logins+=($!)
done

# Whoever fails first decides. The others notice, say so and end; who does not in a minute is ended.
for _ in "${hosts[@]}"; do
    status=0
    wait -n || status=$?
    if ((status)); then
        echo "one host ended with status $status: its own message says why" >&2
        for _ in {1..60}; do
            [[ -z $(jobs -rp) ]] && break
            sleep 1
        done
        end_all
        exit "$status"
    fi
done
