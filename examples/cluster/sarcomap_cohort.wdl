version 1.0

# A cohort on the UK Biobank Research Analysis Platform (dxCompiler), or with Cromwell or miniwdl.
# Each batch of zips is one job; a last job makes the table. Inputs: sarcomap_cohort.inputs.json.

workflow sarcomap_cohort {
    input {
        Array[Array[File]+]+ batches
        String docker = "sarcomap-cluster:0.1.0"
        Int cores = 4
        Int gib_for_each_core = 3
        Int minutes = 600
        String keep = "minimal"
        File? model_tar
    }

    scatter (batch in batches) {
        call process {
            input:
                zips = batch,
                docker = docker,
                cores = cores,
                memory_gib = cores * gib_for_each_core,
                minutes = minutes,
                keep = keep,
                model_tar = model_tar
        }
    }

    call collect {
        input:
            reports = process.reports,
            failures = process.failures,
            docker = docker
    }

    output {
        File phenotypes = collect.phenotypes
        File failures = collect.all_failures
        Array[File] results = process.results
    }

    meta {
        description: "Muscle phenotypes of many Dixon MRI studies"
    }

    parameter_meta {
        batches: {label: "Zips of field 20201", help: "About 100 a batch: a job of two to three hours on four cores", patterns: ["*_20201_*.zip"]}
        model_tar: {label: "Your own weights", help: "A tar of the folder that sarcomap bundle release makes", patterns: ["*.tar"]}
        keep: {label: "What is kept", choices: ["minimal", "everything"]}
    }
}

task process {
    input {
        Array[File]+ zips
        String docker
        Int cores
        Int memory_gib
        Int minutes
        String keep
        File? model_tar
    }

    Int disk_gib = ceil(size(zips, "GiB") * 3) + 20

    command <<<
        set -euo pipefail
        export OMP_NUM_THREADS=1
        mkdir -p inputs model
        while read -r zip; do ln -s "$zip" inputs/; done < ~{write_lines(zips)}
        weights=()
        if [ -n "~{default="" model_tar}" ]; then
            tar -xf "~{default="" model_tar}" -C model --strip-components 1
            weights=(--model model)
        fi
        # A study that fails does not fail the job: failures.csv says which, and why. So does one that was not begun in
        # time (75). What stops all studies, as a full disk, does fail it.
        status=0
        sarcomap cohort run inputs -o cohort --workers ~{cores} --keep ~{keep} \
            --walltime ~{minutes} "${weights[@]}" || status=$?
        case $status in 0 | 1 | 3 | 75) ;; *) exit "$status" ;; esac
        mkdir -p cohort/studies cohort/ledger
        [ -f cohort/failures.csv ] || echo "study,eid,visit,outcome,where,found,expected,remedy,input" > cohort/failures.csv
        if [ "$status" = 75 ]; then
            for zip in inputs/*; do
                cat cohort/ledger/*.jsonl 2> /dev/null | grep -qF "/$(basename "$zip")\"" ||
                    echo ",,,left,run,not begun before the wall time,a job with more minutes,Run it again.,$zip" >> cohort/failures.csv
            done
        fi
        tar -cf results.tar cohort
        find cohort/studies -name report.json -o -name attempt.json | tar -cf reports.tar -T -
        cp cohort/failures.csv failures.csv
    >>>

    output {
        File results = "results.tar"
        File reports = "reports.tar"
        File failures = "failures.csv"
    }

    runtime {
        docker: docker
        cpu: cores
        memory: "~{memory_gib} GiB"
        disks: "local-disk ~{disk_gib} SSD"
        maxRetries: 1
    }
}

task collect {
    input {
        Array[File]+ reports
        Array[File]+ failures
        String docker
    }

    command <<<
        set -euo pipefail
        mkdir all
        while read -r part; do tar -xf "$part" -C all; done < ~{write_lines(reports)}
        sarcomap cohort collect all --out phenotypes.parquet
        first=1
        while read -r table; do
            if [ "$first" = 1 ]; then cat "$table"; else tail -n +2 "$table"; fi
            first=0
        done < ~{write_lines(failures)} > failures.csv
    >>>

    output {
        File phenotypes = "phenotypes.parquet"
        File all_failures = "failures.csv"
    }

    runtime {
        docker: docker
        cpu: 2
        memory: "8 GiB"
        disks: "local-disk 50 SSD"
    }
}
