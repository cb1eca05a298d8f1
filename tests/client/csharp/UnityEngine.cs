// As much of Unity as the sample scene needs, so that it is compiled and run without Unity.

using System;
using System.Collections.Generic;
using System.Reflection;
using System.Threading;

namespace UnityEngine
{
    public struct Vector3
    {
        public float x, y, z;

        public Vector3(float x, float y, float z)
        {
            this.x = x;
            this.y = y;
            this.z = z;
        }

        public static Vector3 operator /(Vector3 vector, float by) { return new Vector3(vector.x / by, vector.y / by, vector.z / by); }
    }

    public class Object
    {
        public static void Destroy(Object it) { GameObject.All.Remove((GameObject)it); }
    }

    public class Component : Object
    {
        public GameObject gameObject;
    }

    public class Transform : Component
    {
        public Vector3 position;
    }

    public class MonoBehaviour : Component { }

    public enum PrimitiveType { Capsule }

    public class GameObject : Object
    {
        public static readonly List<GameObject> All = new List<GameObject>();
        public readonly Transform transform;

        GameObject() { transform = new Transform { gameObject = this }; }

        public static GameObject CreatePrimitive(PrimitiveType type)
        {
            var made = new GameObject();
            All.Add(made);
            return made;
        }
    }

    public static class Application
    {
        public static bool runInBackground;
    }

    public static class Input
    {
        public static float Horizontal;

        public static float GetAxisRaw(string axis) { return axis == "Horizontal" ? Horizontal : 0; }
    }

    public static class Debug
    {
        public static Action<string> Logged;

        public static void Log(object text) { Logged(text.ToString()); }
    }
}

/// <summary>Runs the sample scene: it walks east until everybody is there and it has moved by two metres.</summary>
sealed class Scene
{
    readonly Walk _walk = new Walk();
    readonly int _players;
    readonly Action<string> _say;

    public Scene(string address, int players, Action<string> say)
    {
        _walk.address = address;
        _players = players;
        _say = say;
    }

    public void Run()
    {
        UnityEngine.Debug.Logged = _say;
        UnityEngine.Input.Horizontal = 1;
        Call("Start");
        float start = float.NaN;
        for (int picture = 0; picture < 3000; picture++)
        {
            Call("Update");
            Thread.Sleep(2);
            if (UnityEngine.GameObject.All.Count < _players) continue;
            float east = UnityEngine.GameObject.All[UnityEngine.GameObject.All.Count - 1].transform.position.x;
            if (float.IsNaN(start) && east > 0) start = east;
            if (east <= start + 2) continue;
            _say("walked");
            break;
        }
        Call("OnDestroy");
    }

    void Call(string method) { typeof(Walk).GetMethod(method, BindingFlags.Instance | BindingFlags.NonPublic).Invoke(_walk, null); }
}
