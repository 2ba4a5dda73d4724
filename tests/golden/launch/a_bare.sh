env \
  CUDA_VISIBLE_DEVICES=0,1,2,3 \
  mpirun \
  --allow-run-as-root \
  --oversubscribe \
  --bind-to \
  none \
  -n \
  4 \
  bash \
  -c \
  'rank=${OMPI_COMM_WORLD_RANK:-$SLURM_PROCID}; if [ $rank = 0 ]; then exec /opt/tritonserver/bin/tritonserver --model-repository=/run/model_repository --disable-auto-complete-config --backend-config=python,shm-region-prefix-name=er_8000_${rank}_ --cuda-memory-pool-byte-size=0:0 --cuda-memory-pool-byte-size=1:0 --cuda-memory-pool-byte-size=2:0 --cuda-memory-pool-byte-size=3:0 --enable-peer-access=false --http-address=127.0.0.1 --http-port=8000 --reuse-http-port=true --grpc-address=127.0.0.1 --grpc-port=8100 --reuse-grpc-port=true --metrics-address=127.0.0.1 --metrics-port=8200 --allow-gpu-metrics=false --exit-timeout-secs=5; else exec /opt/tritonserver/bin/tritonserver --model-repository=/run/model_repository --disable-auto-complete-config --backend-config=python,shm-region-prefix-name=er_8000_${rank}_ --cuda-memory-pool-byte-size=0:0 --cuda-memory-pool-byte-size=1:0 --cuda-memory-pool-byte-size=2:0 --cuda-memory-pool-byte-size=3:0 --enable-peer-access=false --model-control-mode=explicit --load-model=tensorrt_llm --allow-http=false --allow-grpc=false --allow-metrics=false --exit-timeout-secs=5; fi'
