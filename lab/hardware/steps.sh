#!/bin/bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# steps.sh [STEP...]   Runs in the host: takes it through the life of a server, and keeps what each step said.
#   facts plan create verify noop restart rollback   what goes well
#   lowkv badflag blocks weights oom                 changes that fail: refused by the planner, the parser, the engine, the GPU
#   busyplan busy                                    somebody else holds the GPU, before the plan and after it
#   kill stop                                        the engine dies, the container is killed
#   look                                             what is there now
# LIMIT is the seconds for all steps together, CLASS the host class (cpu for a rehearsal), MODEL the model.
# Each step leaves /srv/out/NN-STEP.log and a line in /srv/out/summary.txt; everything is in /srv/out.tar.gz in the end.
set -uo pipefail

out=/srv/out
limit=${LIMIT:-560}
class=${CLASS:-gpu_hopper}
model=${MODEL:-/models/qwen2.5-0.5b}
version=$(cat /srv/kit/version 2>/dev/null || echo 0.26.0)
instance=/var/lib/gpufleet/assistant
begun=$(date +%s)
mkdir -p $out
cd /srv/gpufleet || exit 1
export PATH=/usr/local/bin:$PATH ANSIBLE_CONFIG=/srv/gpufleet/ansible.cfg ANSIBLE_NOCOLOR=1 ANSIBLE_FORCE_COLOR=false

if [ "$class" = cpu ]; then
    env='{"VLLM_CPU_KVCACHE_SPACE": "1"}'
    arguments='{"dtype": "bfloat16", "enforce_eager": true, "max_model_len": 1024, "max_num_seqs": 4}'
else
    env='{}'
    arguments='{"enforce_eager": true, "max_model_len": 4096, "max_num_seqs": 16, "gpu_memory_utilization": 0.3}'
fi
printf '{"class": "%s", "version": "%s", "model": "%s", "env": %s, "engine_args": %s}\n' \
    "$class" "$version" "$model" "$env" "$arguments" >/srv/kit/kit.json

number=$(find $out -name '*.log' | wc -l)
say() { echo "$*" | tee -a $out/summary.txt; }

# step NAME SECONDS EXPECTED-STATUS COMMAND...
step() {
    local name=$1 seconds=$2 expected=$3 left status started log verdict=ok
    shift 3
    left=$((limit - ($(date +%s) - begun)))
    [ $left -lt 8 ] && say "$name: left out, no time" && return 9
    [ "$seconds" -gt $left ] && seconds=$left
    number=$((number + 1))
    log=$out/$(printf %02d $number)-$name.log
    started=$(date +%s)
    echo "# $*" >"$log"
    timeout -k 5 "$seconds" "$@" >>"$log" 2>&1
    status=$?
    [ "$expected" = any ] || [ $status = "$expected" ] || verdict="UNEXPECTED (wanted $expected)"
    say "$name: $verdict, status $status, $(($(date +%s) - started)) s | $(grep -oE 'gpuhost +: ok=.*' "$log" | tail -1 | tr -s ' ')"
    [ "$name" = look ] && return
    grep -aE '^\[gpuhost\] assistant|failed at stage|"?msg"?: .*(assistant|refus|fail)|does_not_fit|answers again|no answer' "$log" |
        tail -3 | cut -c1-300 | sed 's/^/    /' | tee -a $out/summary.txt
    return $status
}

site() { # NAME SECONDS EXPECTED-STATUS ARGUMENT...
    local name=$1 seconds=$2 expected=$3
    shift 3
    step "$name" "$seconds" "$expected" ansible-playbook site.yml -i /srv/kit/inventory "$@"
}

changed() { # a change of the engine's arguments, as JSON, and other variables
    printf '{"change": %s%s}' "$1" "${2:+, $2}"
}

ask() {
    python3 - <<'PYTHON'
import json, sys, time, urllib.request

def get(path, body=None):
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request("http://127.0.0.1:8000" + path, sent, {"Content-Type": "application/json"})
    return json.load(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20))

try:
    model = get("/v1/models")["data"][0]
    began = time.time()
    answer = get("/v1/completions", {"model": model["id"], "prompt": "Hello", "max_tokens": 8, "ignore_eos": True})
    print("answers:", model["id"], model["max_model_len"], answer["usage"]["completion_tokens"], "tokens,", round(time.time() - began, 2), "s")
except Exception as error:
    print("no answer:", error)
    sys.exit(1)
PYTHON
}

wait_for_answer() {
    for seconds in $(seq "$1"); do
        ask >/dev/null 2>&1 && echo "answers again after $seconds s" && return 0
        sleep 1
    done
    echo "no answer in $1 s"
    return 1
}

serving() { say "    $(ask)"; }

look() {
    /usr/local/lib/gpufleet/gpufleet-host status
    dk ps
    dk inspect vllm-assistant
    dk top vllm-assistant
    PATH=$PATH:/usr/local/nvidia/bin nvidia-smi
    journalctl --no-pager -u 'gpufleet-*' | tail -80
    cat $instance/stages.jsonl
}
export instance
export -f ask wait_for_answer look

hog() { # begins to hold 60 % of the GPU when /srv/trig/go is there
    mkdir -p /srv/trig
    rm -f /srv/trig/*
    dk run hog "vllm-cuda:$version" --gpu all --entrypoint python3 --volume /srv/trig:/trig -- /opt/kit/hog.py 0.6
    for _ in $(seq 100); do
        dk logs hog | grep -q ready && return
        sleep 0.3
    done
}

end_hog() {
    say "    hog: $(dk logs hog | tail -1 | cut -c32-)"
    dk rm hog
}

without_parser='"vllm_server_ask_parser": false'
dummy='"load_format": "dummy", "hf_overrides": {"intermediate_size":'
for name in ${*:-facts plan create verify noop look restart rollback lowkv blocks busyplan busy oom kill stop look}; do
    case $name in
    facts) step facts 40 0 ansible gpu_hosts -i /srv/kit/inventory -m gpufleet.vllm.gpu_facts ;;
    plan) site plan 60 any --check --diff ;;
    create) site create 300 0 && serving ;;
    verify) step verify 60 0 ansible-playbook playbooks/verify.yml -i /srv/kit/inventory ;;
    noop) site noop 90 0 && { grep -qE 'changed=0 ' $out/*-noop.log || say "    UNEXPECTED: something changed"; } ;;
    look) step look 30 any bash -c look ;;
    restart) site restart 240 0 -e "$(changed '{"max_num_seqs": 8}')" && serving ;;
    rollback)
        step rollback 240 0 ansible-playbook playbooks/rollback.yml -i /srv/kit/inventory -e vllm_server_target_instance=assistant
        serving
        ;;
    lowkv) # no block of the KV cache fits: the planner refuses it
        site lowkv 60 2 -e "$(changed '{"gpu_memory_utilization": 0.005}')"
        serving
        ;;
    badflag) # an argument that only the engine refuses
        site badflag 300 2 -e "$(changed '{"no_such_flag": 1}' "$without_parser, \"vllm_server_unknown_arguments\": \"warn\"")"
        serving
        ;;
    blocks) # one block of the KV cache where a request takes 256: the planner does not look at it
        site blocks 300 2 -e "$(changed '{"num_gpu_blocks_override": 1}' "$without_parser")"
        serving
        ;;
    weights) # weights that leave no room for the KV cache, by an argument that the planner cannot judge
        site weights 300 2 -e "$(changed "{$dummy 311296}}" "$without_parser")"
        serving
        ;;
    oom) # the same, larger than the card
        site oom 300 2 -e "$(changed "{$dummy 4000000}}" "$without_parser")"
        serving
        ;;
    busyplan)
        hog
        touch /srv/trig/go
        for _ in $(seq 60); do
            dk logs hog | grep -q holds && break
            sleep 0.5
        done
        site busyplan 60 any --check -e "$(changed '{"gpu_memory_utilization": 0.45}')"
        end_hog
        ;;
    busy) # it comes when the plan is made and the old engine still serves
        hog
        before=$(wc -l <$instance/stages.jsonl)
        (
            for _ in $(seq 1200); do
                tail -n +$((before + 1)) $instance/stages.jsonl | grep -q preflight && break
                sleep 0.1
            done
            touch /srv/trig/go
        ) &
        site busy 300 2 -e "$(changed '{"gpu_memory_utilization": 0.45}')"
        serving
        end_hog
        ;;
    kill) # Docker's restart policy, or the watch
        engine=$(dk top vllm-assistant | python3 -c 'import json, sys
rows = json.load(sys.stdin)["Processes"]
print(([row for row in rows if "EngineCore" in row[-1]] or rows[-1:])[0][0])')
        kill -9 "$engine"
        sleep 3
        step kill 150 0 bash -c 'wait_for_answer 140'
        serving
        ;;
    stop) # Docker leaves it stopped: the watch has to start it
        dk kill vllm-assistant
        step stop 200 0 bash -c 'wait_for_answer 190'
        serving
        ;;
    *) say "$name: there is no such step" ;;
    esac
done

# Everything that somebody may want to read later.
mkdir -p $out/left
dk ps >$out/left/containers.txt 2>&1
dk logs vllm-assistant 2>&1 | tail -c 400000 >$out/left/engine.log
journalctl --no-pager -o short-precise -u docker -u containerd -u 'gpufleet-*' 2>/dev/null | tail -c 1500000 >$out/left/journal.txt
cp /etc/cdi/nvidia.yaml /etc/docker/daemon.json $out/left/ 2>/dev/null
tar -czf $out.tar.gz -C / srv/out var/lib/gpufleet etc/gpufleet 2>/dev/null
say "all: $(($(date +%s) - begun)) s"
