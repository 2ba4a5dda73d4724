srun \
  --ntasks=1 \
  --overlap \
  --container-image=nvcr.io/nvidia/tritonserver:25.05-trtllm-python-py3 \
  --container-mounts=/run/model_repository:/run/model_repository,/engines/it:/engines/it,/checkpoint:/checkpoint \
  env \
  CUDA_VISIBLE_DEVICES=0 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8000_0_ \
  --http-address=127.0.0.1 \
  --http-port=8000 \
  --reuse-http-port=true \
  --allow-grpc=false \
  --allow-metrics=false \
  --exit-timeout-secs=5

srun \
  --ntasks=1 \
  --overlap \
  --container-image=nvcr.io/nvidia/tritonserver:25.05-trtllm-python-py3 \
  --container-mounts=/run/model_repository:/run/model_repository,/engines/it:/engines/it,/checkpoint:/checkpoint \
  env \
  CUDA_VISIBLE_DEVICES=1 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8001_0_ \
  --http-address=127.0.0.1 \
  --http-port=8001 \
  --reuse-http-port=true \
  --allow-grpc=false \
  --allow-metrics=false \
  --exit-timeout-secs=5

srun \
  --ntasks=1 \
  --overlap \
  --container-image=nvcr.io/nvidia/tritonserver:25.05-trtllm-python-py3 \
  --container-mounts=/run/model_repository:/run/model_repository,/engines/it:/engines/it,/checkpoint:/checkpoint \
  env \
  CUDA_VISIBLE_DEVICES=2 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8002_0_ \
  --http-address=127.0.0.1 \
  --http-port=8002 \
  --reuse-http-port=true \
  --allow-grpc=false \
  --allow-metrics=false \
  --exit-timeout-secs=5

srun \
  --ntasks=1 \
  --overlap \
  --container-image=nvcr.io/nvidia/tritonserver:25.05-trtllm-python-py3 \
  --container-mounts=/run/model_repository:/run/model_repository,/engines/it:/engines/it,/checkpoint:/checkpoint \
  env \
  CUDA_VISIBLE_DEVICES=3 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8003_0_ \
  --http-address=127.0.0.1 \
  --http-port=8003 \
  --reuse-http-port=true \
  --allow-grpc=false \
  --allow-metrics=false \
  --exit-timeout-secs=5

srun \
  --ntasks=1 \
  --overlap \
  --container-image=nvcr.io/nvidia/tritonserver:25.05-trtllm-python-py3 \
  --container-mounts=/run/model_repository:/run/model_repository,/engines/it:/engines/it,/checkpoint:/checkpoint \
  env \
  CUDA_VISIBLE_DEVICES=4 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8004_0_ \
  --http-address=127.0.0.1 \
  --http-port=8004 \
  --reuse-http-port=true \
  --allow-grpc=false \
  --allow-metrics=false \
  --exit-timeout-secs=5

srun \
  --ntasks=1 \
  --overlap \
  --container-image=nvcr.io/nvidia/tritonserver:25.05-trtllm-python-py3 \
  --container-mounts=/run/model_repository:/run/model_repository,/engines/it:/engines/it,/checkpoint:/checkpoint \
  env \
  CUDA_VISIBLE_DEVICES=5 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8005_0_ \
  --http-address=127.0.0.1 \
  --http-port=8005 \
  --reuse-http-port=true \
  --allow-grpc=false \
  --allow-metrics=false \
  --exit-timeout-secs=5

srun \
  --ntasks=1 \
  --overlap \
  --container-image=nvcr.io/nvidia/tritonserver:25.05-trtllm-python-py3 \
  --container-mounts=/run/model_repository:/run/model_repository,/engines/it:/engines/it,/checkpoint:/checkpoint \
  env \
  CUDA_VISIBLE_DEVICES=6 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8006_0_ \
  --http-address=127.0.0.1 \
  --http-port=8006 \
  --reuse-http-port=true \
  --allow-grpc=false \
  --allow-metrics=false \
  --exit-timeout-secs=5

srun \
  --ntasks=1 \
  --overlap \
  --container-image=nvcr.io/nvidia/tritonserver:25.05-trtllm-python-py3 \
  --container-mounts=/run/model_repository:/run/model_repository,/engines/it:/engines/it,/checkpoint:/checkpoint \
  env \
  CUDA_VISIBLE_DEVICES=7 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8007_0_ \
  --http-address=127.0.0.1 \
  --http-port=8007 \
  --reuse-http-port=true \
  --allow-grpc=false \
  --allow-metrics=false \
  --exit-timeout-secs=5
