srun \
  --mpi=pmix \
  --ntasks=4 \
  --overlap \
  --container-image=nvcr.io/nvidia/tritonserver:25.05-trtllm-python-py3 \
  --container-mounts=/run/model_repository:/run/model_repository,/engines/it:/engines/it,/checkpoint:/checkpoint \
  env \
  CUDA_VISIBLE_DEVICES=0,1,2,3 \
  bash \
  -c \
  'if [ ${SLURM_PROCID} = 0 ]; then exec /opt/tritonserver/bin/tritonserver --model-repository=/run/model_repository --disable-auto-complete-config --backend-config=python,shm-region-prefix-name=er_8000_${SLURM_PROCID}_ --http-address=127.0.0.1 --http-port=8000 --reuse-http-port=true --grpc-address=127.0.0.1 --grpc-port=8100 --reuse-grpc-port=true --metrics-address=127.0.0.1 --metrics-port=8200 --allow-gpu-metrics=false --exit-timeout-secs=5; else exec /opt/tritonserver/bin/tritonserver --model-repository=/run/model_repository --disable-auto-complete-config --backend-config=python,shm-region-prefix-name=er_8000_${SLURM_PROCID}_ --model-control-mode=explicit --load-model=tensorrt_llm --allow-http=false --allow-grpc=false --allow-metrics=false --exit-timeout-secs=5; fi'
