using System.Collections.Generic;
using UnityEngine;
using Zoneserver;

/// <summary>Walk in the demo game with the arrow keys. Put this on any object of an empty scene.</summary>
public class Walk : MonoBehaviour
{
    public string address = "127.0.0.1:7777";
    public string playerName = "unity";
    readonly Dictionary<ZoneEntity, Transform> shown = new Dictionary<ZoneEntity, Transform>();
    ZoneClient zone;
    int vx, vy;

    void Start()
    {
        Application.runInBackground = true; // A program that does not poll is thrown out after some seconds.
        zone = ZoneClient.Connect(address, new ZoneOptions { Name = playerName });
        zone.Entered += entity => shown[entity] = GameObject.CreatePrimitive(PrimitiveType.Capsule).transform;
        zone.Left += entity => { Destroy(shown[entity].gameObject); shown.Remove(entity); };
        zone.Heard += (kind, player, values) => Debug.Log(player + " " + kind + " " + string.Join(" ", values));
        zone.Dropped += end => Debug.Log("lost, coming back: " + end);
        zone.Closed += end => Debug.Log("it is over: " + end);
    }

    void Update()
    {
        zone.Poll();
        if (zone.Me == null) return;
        int x = (int)(20 * Input.GetAxisRaw("Horizontal")), y = (int)(20 * Input.GetAxisRaw("Vertical"));
        if (x != vx || y != vy) zone.Act("move", vx = x, vy = y);
        double now = zone.Now;
        foreach (KeyValuePair<ZoneEntity, Transform> each in shown)
        {
            zone.Position(each.Key.Slot, now, out double east, out double north);
            each.Value.position = new Vector3((float)east, 0, (float)north) / 100; // centimetres to metres
        }
    }

    void OnDestroy() { if (zone != null) zone.Dispose(); }
}
