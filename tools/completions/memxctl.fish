function __memxctl_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __memxctl_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __memxctl_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __memxctl_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __memxctl_parse_tokens -S
    set -l unparsed_tokens (__memxctl_tokens -pc)
    switch $unparsed_tokens[1]
    case 'memxctl'
        __memxctl_parse_subcommand 0 'h/help'
        switch $unparsed_tokens[1]
        case 'attach'
            __memxctl_parse_subcommand 0 'link=' 'device=' 'ib-port=' 'gid-index=' 'region=' 'pseudo' 'server=' 'token=' 'token-file=' 'size=' 'timeout=' 'queue-depth=' 'mtu=' 'swap' 'priority=' 'discard' 'keep-min-free' 'keep-aging' 'keep-readahead' 'json' 'h/help'
        case 'detach'
            __memxctl_parse_subcommand 1 'swapoff' 'force' 'json' 'h/help'
        case 'status'
            __memxctl_parse_subcommand 1 'json' 'h/help'
        case 'stats'
            __memxctl_parse_subcommand 1 'watch' 'interval=' 'count=' 'json' 'h/help'
        case 'migrate'
            __memxctl_parse_subcommand 2 'ssh-command=' 'strategy=' 'rate=' 'prepare-limit=' 'json' 'h/help'
        case 'receive'
            __memxctl_parse_subcommand 0 'json' 'h/help'
        case 'help'
            __memxctl_parse_subcommand -r 1 
        end
    end
end

function __memxctl_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __memxctl_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __memxctl_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __memxctl_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__memxctl_tokens -p)
    if test -z "$(__memxctl_tokens -t)"
        set -l index (count (__memxctl_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'memxctl' -f
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl" -eq 1' -fa 'attach' -d 'Attach a region of a memory server, or a pseudo-paging device, as a block device.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl" -eq 1' -fa 'detach' -d 'Detach a device and tell the server.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl" -eq 1' -fa 'status' -d 'Show what is attached and how it is doing.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl" -eq 1' -fa 'stats' -d 'Show a device\'s counters since it was attached, or its rates as they are.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl" -eq 1' -fa 'migrate' -d 'Migrate a running Xen guest to another host by post-copy.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl" -eq 1' -fa 'receive' -d 'Take in a Xen guest that memxctl migrate sends.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" link' -l 'link' -d 'Network interface towards the server, or rdma:ADDRESS[:PORT] for a server over RDMA (default port: 34997); with --pseudo, rdma: alone.' -rfka '(ls /sys/class/net)'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" device' -l 'device' -d 'Over RDMA, the device to use, as `rdma link` names it. Left out, the one that leads to the server.' -rfka '(ls /sys/class/infiniband)'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" ib-port' -l 'ib-port' -d 'With --device: its port, 1 to 255 (default: 1).' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" gid-index' -l 'gid-index' -d 'With --device: the port\'s GID to connect from, 0 to 65535 (default: the first that stands for an address of the server\'s kind).' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" region' -l 'region' -d 'Region to attach, as the server names it.' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" pseudo' -l 'pseudo' -d 'Instead of a region: a pseudo-paging device, for a Xen guest that is to be migrated.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" server' -l 'server' -d 'The server\'s address on that link. Left out, the server is found by broadcast.' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" token' -l 'token' -d 'The region\'s token. Other users can see it in ps; --token-file hides it.' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" token-file' -l 'token-file' -d 'File whose first line is the region\'s token.' -rF
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" size' -l 'size' -d 'Take so much of the region, in bytes or with K, M, G, T; a whole number of 4K pages. Left out, all of it; with --pseudo, as much as this machine can page out.' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" timeout' -l 'timeout' -d 'Requests fail after so long without an answer, 1 to 86400 (default: 30).' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" queue-depth' -l 'queue-depth' -d 'Requests in flight at most, 1 to 512 (default: 128).' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" mtu' -l 'mtu' -d 'Largest payload of a frame, 1416 to 9000 (default: the link\'s own).' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" swap' -l 'swap' -d 'Run mkswap on the device and swap to it.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" priority' -l 'priority' -d 'With --swap: its priority, 0 to 32767; higher is used first.' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" discard' -l 'discard' -d 'With --swap: discard freed swap slots, which frees their memory on the server.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" keep-min-free' -l 'keep-min-free' -d 'With --swap: leave vm.min_free_kbytes as it is, even if it is too low for the network.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" keep-aging' -l 'keep-aging' -d 'With --pseudo and --swap: leave it to the kernel how pages age.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" keep-readahead' -l 'keep-readahead' -d 'With --pseudo and --swap: leave it to the kernel how much is read from swap at a time.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" json' -l 'json' -d 'Print one JSON object a line, failures included.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl attach" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl detach" -eq 1' -fka '(ls -d /dev/memx* 2>/dev/null)'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl detach" swapoff' -l 'swapoff' -d 'Stop swapping to the device first; reads back all that is on it.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl detach" force' -l 'force' -d 'Detach at once: what is outstanding, and what comes later, fails with I/O errors. Programs that have pages on it are killed when they touch them.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl detach" json' -l 'json' -d 'Print one JSON object a line, failures included.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl detach" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl status" -eq 1' -fka '(ls -d /dev/memx* 2>/dev/null)'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl status" json' -l 'json' -d 'Print one JSON object a line, failures included.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl status" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_positional "memxctl stats" -eq 1' -fka '(ls -d /dev/memx* 2>/dev/null)'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl stats" watch' -l 'watch' -d 'Print rates, a line every second, until interrupted.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl stats" interval' -l 'interval' -d 'With --watch: seconds between lines, 0.1 to 3600 (default: 1).' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl stats" count' -l 'count' -d 'With --watch: stop after so many lines a device.' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl stats" json' -l 'json' -d 'Print one JSON object a line, failures included.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl stats" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl migrate" ssh-command' -l 'ssh-command' -d 'Reaches the target instead of ssh; given to sh. Empty: run TARGET itself as a command whose input and output reach memxctl receive.' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl migrate" strategy' -l 'strategy' -d 'Which page goes next: demand-only, push, bubble-dual-multi+lru, streams and others, as memxd --help has them. Left out, memxd\'s choice.' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl migrate" rate' -l 'rate' -d 'Push at most so many bytes a second, with K, M, G if need be. Left out, as many as the network carries.' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl migrate" prepare-limit' -l 'prepare-limit' -d 'Page out for so long at most before the guest is suspended, 1 to 3600 (default: 120).' -rfka ''
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl migrate" json' -l 'json' -d 'Print one JSON object a line, failures included.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl migrate" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl receive" json' -l 'json' -d 'Print one JSON object a line, failures included.'
complete -c 'memxctl' -n '__memxctl_should_offer_completions_for_flags_or_options "memxctl receive" h help' -s 'h' -l 'help' -d 'Show help information.'
